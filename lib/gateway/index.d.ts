import type { IncomingMessage } from 'http';
import type { HttpRequestHandler, RequestOptions, WorkerServer } from '../../index.js';

export type { HttpRequestHandler, RequestOptions } from '../../index.js';

/** A request's body: what a client of OpenAI's sends, as it is. Only `model` and `stream` are looked at. */
export interface OpenAIRequestBody extends Record<string, unknown> {
  /** The model that is asked for. */
  model: string;
  /** Whether the answer is to come as server-sent events: if this is `true`, and only then. */
  stream?: unknown;
}

/** What a worker gets as the payload of a request. */
export interface OpenAIGatewayPayload<B = OpenAIRequestBody> {
  /** What follows the prefix in the URL. */
  path: '/chat/completions' | '/completions' | '/embeddings' | '/responses';
  /** The body, parsed. */
  body: B;
}

/**
 * What a worker may have as the `data` of its error, to be the whole answer: the client gets this status and this body.
 * Once a stream has begun it gets the body as an event `error`.
 */
export interface OpenAIGatewayErrorData {
  /** From 400 to 599. */
  status: number;
  /** Sent as JSON; a string as it is. */
  body: unknown;
}

/** The options of {@link openaiGateway}. A wrong one is a `TypeError` that names it, without its value. */
export interface OpenAIGatewayOptions {
  /**
   * The prefix of all routes.
   *
   * @defaultValue `'/v1'`
   */
  path?: string | undefined;
  /**
   * The keys that let a client in, as `Authorization: Bearer`. Without the option none is asked for; with an empty list
   * nobody is let in. The requests of one key wait in turn with those of others: its `fairKey` is the first 16 hex
   * digits of its SHA-256.
   */
  apiKeys?: readonly string[] | undefined;
  /**
   * Decides whether a client is let in: with `true`, or with a string that is not empty, which then is the `fairKey` of
   * its request. Anything else, and a throw, which is logged, is a no (401). With `apiKeys` as well both must agree.
   */
  authenticate?: ((req: IncomingMessage) => boolean | string | Promise<boolean | string>) | undefined;
  /**
   * The largest body, in bytes. A larger one is answered with 413. All bodies that are being received may have 256 MiB
   * together; beyond that a request is answered with 503.
   *
   * @defaultValue 33554432 (32 MiB)
   */
  maxBodyBytes?: number | undefined;
  /**
   * Returns what a request's options should be. They go over the gateway's own (`model` of the body, `modelMatch:
   * 'exact'`, `fairKey` and a `requestId`), and `signal` is joined with the one that aborts when the client is gone. A
   * throw is logged and answered with 500, or with the error's `status` if that is one from 400 to 499; then the client
   * gets its `message`, `code` and `param`.
   */
  options?:
    | ((
        req: IncomingMessage,
        body: OpenAIRequestBody,
      ) => RequestOptions | undefined | Promise<RequestOptions | undefined>)
    | undefined;
}

/**
 * An HTTP handler for {@link WorkerServer.addHttpHandler} that speaks OpenAI's interface and has workers answer:
 * `GET /v1/models` and `/v1/models/{id}`, `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings` and
 * `/v1/responses`. A worker gets an {@link OpenAIGatewayPayload}; what it returns is the response's body, and with
 * `stream: true` each of its chunks is an event. Other requests are left to the next handler.
 *
 * Lines are written to the server's logger, and its `limits.stallTimeoutMs` is how long a client may take nothing.
 *
 * @example
 * ```ts
 * const server = new WorkerServer({ port: 8080, authToken: process.env.WORKER_TOKEN });
 * server.addHttpHandler(openaiGateway(server, { apiKeys: [process.env.API_KEY!] }));
 * await server.start();
 * ```
 * @throws A `TypeError` that names what is wrong.
 */
export declare function openaiGateway(
  server: WorkerServer,
  options?: OpenAIGatewayOptions | undefined,
): HttpRequestHandler;
