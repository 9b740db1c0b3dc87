/** How long to wait before looking again: quick pictures are seen at once, slow ones asked after less often. */
const LOOK_AGAIN_MS = 700;
const LOOK_AGAIN_LATER_MS = 2_500;
const QUICK_MS = 15_000;

/**
 * @typedef {{ status: string, ended: boolean, message: string | null, images: { url: string, width: number, height: number }[] }} State
 */

/**
 * Looks at a generation until it has ended.
 * @param {string} address of its state
 * @param {(state: State, seconds: number) => void} tell of each look
 * @returns {Promise<State>}
 */
export async function waitForEnd(address, tell) {
  const began = Date.now();
  for (;;) {
    const state = await look(address);
    tell(state, Math.floor((Date.now() - began) / 1000));
    if (state.ended) return state;
    const pause = Date.now() - began < QUICK_MS ? LOOK_AGAIN_MS : LOOK_AGAIN_LATER_MS;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** @param {string} address */
async function look(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(`looking again failed: ${response.status}`);
  return response.json();
}
