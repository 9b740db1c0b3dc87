import { Buffer } from "node:buffer";
import * as z from "zod";

/**
 * A device that makes passkeys and signs with them, in software: what a browser and an authenticator do (Web
 * Authentication, level 3). Each device has one passkey.
 */

const Options = z.looseObject({ challenge: z.string() });

/** What the device and its browser answer differently from what the site expects. */
type Faults = { origin?: string; domain?: string; isVerified?: boolean; type?: string; counter?: number };

const FLAG_PRESENT = 0x01;
const FLAG_VERIFIED = 0x04;
const FLAG_HAS_KEY = 0x40;

export class PasskeyDevice {
  readonly #id = crypto.getRandomValues(new Uint8Array(32));
  readonly #keys = crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  readonly #site: string;

  /** @param site the origin of the page */
  constructor(site: string) {
    this.#site = site;
  }

  /** The answer to options for a new passkey, both as JSON. */
  async make(options: string, faults: Faults = {}): Promise<string> {
    const id = Buffer.from(this.#id);
    const authData = Buffer.concat([
      await this.#head(faults, FLAG_HAS_KEY),
      Buffer.alloc(16),
      Buffer.from([0, id.length]),
      id,
      await this.#publicKey(),
    ]);
    // CBOR: { fmt: "none", attStmt: {}, authData }
    const attestation = Buffer.concat([
      ...[Buffer.from([0xa3]), text("fmt"), text("none"), text("attStmt"), Buffer.from([0xa0])],
      ...[text("authData"), Buffer.from([0x59, authData.length >> 8, authData.length & 0xff]), authData],
    ]);
    const clientDataJSON = this.#clientData(options, "webauthn.create", faults).toString("base64url");
    return this.#answer({ clientDataJSON, attestationObject: attestation.toString("base64url") });
  }

  /** The answer to options for a sign-in, both as JSON. */
  async use(options: string, faults: Faults = {}): Promise<string> {
    const authData = await this.#head(faults, 0);
    const clientData = this.#clientData(options, "webauthn.get", faults);
    const signed = Buffer.concat([authData, await sha256(clientData)]);
    const { privateKey } = await this.#pair();
    const raw = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, signed);
    return this.#answer({
      clientDataJSON: clientData.toString("base64url"),
      authenticatorData: authData.toString("base64url"),
      signature: derOf(Buffer.from(raw)).toString("base64url"),
    });
  }

  #answer(response: Record<string, string>): string {
    const id = Buffer.from(this.#id).toString("base64url");
    return JSON.stringify({ id, rawId: id, type: "public-key", clientExtensionResults: {}, response });
  }

  #clientData(options: string, type: string, faults: Faults): Buffer {
    const { challenge } = Options.parse(JSON.parse(options));
    const origin = faults.origin ?? this.#site;
    return Buffer.from(JSON.stringify({ type: faults.type ?? type, challenge, origin, crossOrigin: false }));
  }

  /** The hash of the domain, the flags and the counter. */
  async #head({ domain, isVerified = true, counter = 0 }: Faults, flags: number): Promise<Buffer> {
    const hash = await sha256(Buffer.from(domain ?? new URL(this.#site).hostname));
    const rest = Buffer.alloc(5);
    rest[0] = flags | FLAG_PRESENT | (isVerified ? FLAG_VERIFIED : 0);
    rest.writeUInt32BE(counter, 1);
    return Buffer.concat([hash, rest]);
  }

  /** COSE: an elliptic curve key for ES256 on P-256. */
  async #publicKey(): Promise<Buffer> {
    const { publicKey } = await this.#pair();
    const point = await crypto.subtle.exportKey("raw", publicKey);
    if (!(point instanceof ArrayBuffer)) throw new Error("A raw key is bytes.");
    const [x, y] = [Buffer.from(point).subarray(1, 33), Buffer.from(point).subarray(33)];
    const head = Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
    return Buffer.concat([head, x, Buffer.from([0x22, 0x58, 0x20]), y]);
  }

  async #pair(): Promise<CryptoKeyPair> {
    const keys = await this.#keys;
    if (!("privateKey" in keys)) throw new Error("ECDSA has pairs of keys.");
    return keys;
  }
}

/** A short text in CBOR. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([0x60 + value.length]), Buffer.from(value)]);
}

async function sha256(bytes: Buffer): Promise<Buffer> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes));
}

/** WebCrypto signs as two numbers, devices as a DER sequence of them. */
function derOf(raw: Buffer): Buffer {
  const numbers = [raw.subarray(0, 32), raw.subarray(32)].map((bytes) => {
    const start = bytes.findIndex((byte) => byte !== 0);
    const short = bytes.subarray(start === -1 ? 31 : start);
    const number = (short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short;
    return Buffer.concat([Buffer.from([0x02, number.length]), number]);
  });
  const body = Buffer.concat(numbers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}
