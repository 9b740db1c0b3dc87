/** Reloads a page that waits for something. The server stops sending this script when nothing more is expected. */
const EVERY_MS = 2_000;

setTimeout(() => location.reload(), EVERY_MS);
