// Where relative addresses begin.

/** What `fetch` takes relative addresses from, where there is a page or a worker: a page's `<base>` counts. */
export const base = (): string | undefined => globalThis.document?.baseURI ?? globalThis.location?.href;
