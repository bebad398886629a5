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
  #ttl: number;
  /** What clients before these have asked for and handed out. */
  #before = { requests: 0, handouts: 0 };

  constructor(url: string, ttl: number, events: TokenEvents) {
    this.#url = url;
    this.#events = events;
    this.#ttl = ttl;
    this.#client = this.#create();
  }

  get ttl(): number {
    return this.#ttl;
  }

  /** Goes on with tokens of another lifetime, as soon as there is one. */
  setTtl(ttl: number): void {
    this.#leave(this.#next);
    this.#ttl = ttl;
    const next = this.#create();
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
    this.#client.invalidate(token);
  }

  /** As the client tells it, but with all requests and handouts since the page was opened. */
  status(): TokenStatus {
    const status = this.#client.status();
    const next = this.#next?.status();
    return {
      ...status,
      requests: status.requests + (next?.requests ?? 0) + this.#before.requests,
      handouts: status.handouts + (next?.handouts ?? 0) + this.#before.handouts,
      error: next?.error ?? status.error,
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

  #create(): TokenClient {
    return createTokenClient(this.#url, {
      ttl: this.#ttl,
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
