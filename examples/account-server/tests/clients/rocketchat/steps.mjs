// Steps against this client: what it calls refused, and the mail that it waits for.
import assert from 'node:assert/strict';
import { baseUrl as addressOfServer, environment } from '../steps.mjs';

export { main, secret, state, step } from '../steps.mjs';

/** Without a slash at the end, as this client wants it. */
export const baseUrl = addressOfServer.replace(/\/+$/, '');

/** The call must be refused with this status. Gives the answer, which the client rejects with, and its body. */
export async function refused(status, call) {
    let answer = null;
    try {
        await call();
    } catch (thrown) {
        answer = thrown;
    }
    assert.ok(answer, `expected ${status}, but it was accepted`);
    if (!(answer instanceof Response)) throw answer; // no answer of the server: show what happened
    const body = await answer.json();
    assert.equal(answer.status, status, JSON.stringify(body));
    return { answer, body };
}

/** The next mail to this address, however long it takes to come. */
export async function mailTo(address) {
    const answer = await fetch(`${environment('MAILBOX')}/${encodeURIComponent(address)}`);
    assert.ok(answer.ok);
    return answer.json();
}

/** How much mail to this address nobody has read. It is dropped. */
export async function unreadMail(address) {
    const answer = await fetch(`${environment('MAILBOX')}/${encodeURIComponent(address)}`, { method: 'DELETE' });
    return answer.json();
}
