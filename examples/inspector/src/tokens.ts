// The page's tokens: one client for everything that reads, exchanged when another lifetime is asked for.

import { createTokenClient, type TokenClient, type TokenError, type TokenStatus } from "token-provider-client";

export interface TokenEvents {
  /** A token request has been answered, or has failed. */
  onRequest(ok: boolean): void;
  onError(error: TokenError): void;
}

export class Tokens {
  readonly #url: string;
  readonly #events: TokenEvents;
  #client: TokenClient;
  /** One with another lifetime, until it has its first token: meanwhile the one before goes on. */
  #next: TokenClient | undefined;
  /** One that only shows whether there are new tokens, while the account is made to fail. */
  #trial: TokenClient | undefined;
  #ttl: number;
  /** While the account is made to fail, another lifetime is for later. */
  #isLent = false;
  #isRefused = false;
  /** What clients before these have asked for and handed out. */
  #before = { requests: 0, handouts: 0 };

  constructor(url: string, ttl: number, events: TokenEvents) {
    this.#url = url;
    this.#events = events;
    this.#ttl = ttl;
    this.#client = this.#create(ttl);
  }

  get ttl(): number {
    return this.#ttl;
  }

  /** Goes on with tokens of another lifetime, as soon as there is one. */
  setTtl(ttl: number): void {
    this.#ttl = ttl;
    if (!this.#isLent) this.#follow(ttl);
  }

  /** Has everything read with a token of this lifetime, which outlives what comes. */
  async secure(ttl: number): Promise<void> {
    this.#isLent = true;
    const client = this.#create(ttl);
    try {
      await client.getToken();
    } catch {
      this.#leave(client);
      return;
    }
    for (const other of [this.#client, this.#next]) this.#leave(other);
    this.#client = client;
    this.#next = undefined;
  }

  /** Asks for tokens of this lifetime: to be read with, or just to see whether there are any. */
  lend(ttl: number, isRead: boolean): void {
    if (isRead) this.#follow(ttl);
    else this.#trial = this.#create(ttl);
  }

  /** Has the trial ask when it needs to. */
  tryOn(): void {
    this.#trial?.getToken().catch(() => {});
  }

  /** Goes back to the lifetime that was chosen. */
  release(): void {
    this.#isLent = false;
    this.#leave(this.#trial);
    this.#trial = undefined;
    this.#follow(this.#ttl);
  }

  #follow(ttl: number): void {
    this.#leave(this.#next);
    const next = this.#create(ttl);
    this.#next = next;
    // At once, rather than at the next data request; a failure is told by `onError`, and the next request tries again.
    next.getToken().then(() => this.#adopt(), () => {});
  }

  /** What HERE's clients call before every request. */
  readonly getBearerToken = (): Promise<string> => {
    this.#adopt();
    return this.#client.getBearerToken();
  };

  /** A service has answered 401 to this token. */
  refused(token: string): void {
    this.#isRefused = true;
    this.#client.invalidate(token);
  }

  /** A service has answered with success. */
  accepted(): void {
    this.#isRefused = false;
  }

  /** Whether the last token that a service has seen was not good enough for it. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** As the client tells it, but with all requests and handouts since the page was opened. */
  status(): TokenStatus {
    const status = this.#client.status();
    const others = [this.#next, this.#trial].flatMap((client) => client?.status() ?? []);
    const sum = (name: "requests" | "handouts"): number => others.reduce((sum, other) => sum + other[name], status[name] + this.#before[name]);
    return {
      ...status,
      requests: sum("requests"),
      handouts: sum("handouts"),
      error: others.find(({ error }) => error)?.error ?? status.error,
    };
  }

  /** Changes over once the next client has a token. */
  #adopt(): void {
    const next = this.#next;
    if (next?.peekToken() === undefined) return;
    this.#leave(this.#client);
    this.#client = next;
    this.#next = undefined;
  }

  /** Keeps a client's figures. It asks for no more tokens once nobody calls it. */
  #leave(client: TokenClient | undefined): void {
    if (!client) return;
    const { requests, handouts } = client.status();
    this.#before = { requests: this.#before.requests + requests, handouts: this.#before.handouts + handouts };
  }

  #create(ttl: number): TokenClient {
    return createTokenClient(this.#url, {
      ttl,
      onError: (error) => this.#events.onError(error),
      fetch: async (input, init) => {
        try {
          const response = await fetch(input, init);
          this.#events.onRequest(response.ok);
          return response;
        } catch (error) {
          this.#events.onRequest(false);
          throw error;
        }
      },
    });
  }
}
