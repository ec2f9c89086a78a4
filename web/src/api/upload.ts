// Sending a file with progress: fetch tells none, so this is the one place with XMLHttpRequest.
import { ApiError, pathWith, type Query } from './client';

export function sendFile<T>(
  path: string,
  query: Query,
  file: Blob,
  options: { signal: AbortSignal; onSent: (bytes: number) => void },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const fail = (code: string, text: string) => reject(new ApiError(request.status, code, text));
    request.open('POST', pathWith(`/api/v1${path}`, query));
    request.setRequestHeader('X-AMM-Request', '1');
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.onprogress = (event) => options.onSent(event.loaded);
    request.onerror = () => fail('unreachable', 'The server could not be reached, or it stopped listening. Nothing was changed. Try again.');
    request.onabort = () => reject(new DOMException('aborted', 'AbortError'));
    request.onload = () => {
      let body: Record<string, unknown> = {};
      try {
        body = JSON.parse(request.responseText || '{}') as Record<string, unknown>;
      } catch {
        return fail('not-json', 'The answer of the server was cut off. Look at the list of imports before you try again.');
      }
      if (request.status >= 200 && request.status < 300) return resolve(body as T);
      fail(String(body['error'] ?? 'http'), String(body['text'] ?? `The server answered ${request.status}.`));
    };
    options.signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}
