// Time-based codes (RFC 6238: SHA-1, six digits, thirty seconds), made as an authenticator app makes them.
import { createHmac } from 'node:crypto';

const STEP_MS = 30_000;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function decode(base32) {
    const bits = [...base32].map((symbol) => BASE32.indexOf(symbol).toString(2).padStart(5, '0')).join('');
    return Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
}

function codeAt(base32, step) {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(step));
    const digest = createHmac('sha1', decode(base32)).update(counter).digest();
    const offset = digest[19] & 0x0f;
    const number = digest.readUInt32BE(offset) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, '0');
}

const present = () => Math.floor(Date.now() / STEP_MS);

/** The code of now. */
export const totp = (base32) => codeAt(base32, present());

/** Codes that are wrong now, and for a while: those of steps far outside the window. */
export function wrongCodes(base32, count) {
    const right = new Set([-3, -2, -1, 0, 1, 2, 3].map((delta) => codeAt(base32, present() + delta)));
    const codes = [];
    for (let number = 100_000; codes.length < count; number += 1) {
        if (!right.has(String(number))) codes.push(String(number));
    }
    return codes;
}

// RFC 6238 appendix B, its last six digits: who computes wrong codes must not blame the server.
const RFC_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
for (const [seconds, code] of [[59, '287082'], [1_111_111_109, '081804'], [20_000_000_000, '353130']]) {
    if (codeAt(RFC_SECRET, Math.floor(seconds / 30)) !== code) throw new Error(`RFC 6238 at ${seconds} s`);
}
