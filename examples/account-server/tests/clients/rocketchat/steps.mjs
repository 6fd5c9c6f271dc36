// The little that a driver needs: named steps, counted by their lines, and the state that outlives a restart.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

// A mail may never come; a step does not wait for ever.
const STEP_LIMIT_MS = 60_000;

function environment(name) {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: start this through \`cargo xtask client\``);
    return value;
}

/** Without a slash at the end, as this client wants it. */
export const baseUrl = environment('BASE_URL').replace(/\/+$/, '');
const statePath = environment('STATE');

/** Accounts as seeded, and what one phase hands to the next. `secrets` must never be seen in a log or in the store. */
export const state = JSON.parse(readFileSync(statePath, 'utf8'));

export function secret(value) {
    state.secrets.push(value);
    return value;
}

function fail(name, error) {
    console.log(`not ok - ${name}`);
    console.error(error?.stack ?? error);
    process.exit(1);
}

let current = 'start';
process.on('unhandledRejection', (error) => fail(`${current} (unhandled rejection)`, error));

/** Runs one step. The steps after it rest on it, so the first failure ends the run. */
export async function step(name, run) {
    current = name;
    let timer;
    const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end after ${STEP_LIMIT_MS / 1000} s`)), STEP_LIMIT_MS);
    });
    try {
        const result = await Promise.race([run(), limit]);
        console.log(`ok - ${name}`);
        return result;
    } catch (error) {
        fail(name, error);
    } finally {
        clearTimeout(timer);
    }
}

/** Runs the phase that the command line names. */
export async function main(phases) {
    const name = process.argv[2];
    const phase = phases[name];
    if (!phase) throw new Error(`phase ${name}: expected one of ${Object.keys(phases).join(', ')}`);
    await phase();
    writeFileSync(statePath, JSON.stringify(state));
}

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
