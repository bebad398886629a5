// What the README's code takes from elsewhere. Those packages are not installed here: only our own part is checked.

declare module "@here/olp-sdk-core";
declare module "@here/olp-sdk-dataservice-read";
declare module "maplibre-gl";
declare module "react" {
  export const useEffect: (effect: () => () => void, inputs: unknown[]) => void;
  export const useState: <State>(initial: State) => [any, (next: unknown) => void];
}
declare const DataInspector: new (options: { getBearerToken: () => Promise<string> }) => unknown;
declare const process: { env: Record<string, string | undefined> };
interface Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
