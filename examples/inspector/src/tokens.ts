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
  #ttl: number;
  /** What clients before this one have asked for and handed out. */
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

  /** Goes on with tokens of another lifetime. The client before asks for no more once nobody calls it. */
  setTtl(ttl: number): void {
    const { requests, handouts } = this.status();
    this.#before = { requests, handouts };
    this.#ttl = ttl;
    this.#client = this.#create();
  }

  /** What HERE's clients call before every request. */
  readonly getBearerToken = (): Promise<string> => this.#client.getBearerToken();

  /** A service has answered 401 to this token. */
  refused(token: string): void {
    this.#client.invalidate(token);
  }

  /** As the client tells it, but with all requests and handouts since the page was opened. */
  status(): TokenStatus {
    const status = this.#client.status();
    return {
      ...status,
      requests: status.requests + this.#before.requests,
      handouts: status.handouts + this.#before.handouts,
    };
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
