// The little that a driver needs: named steps, counted by their lines, and the state that outlives a restart.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

// The client waits without limit for a keychain that does not come; a step never does.
const STEP_LIMIT_MS = 60_000;

function environment(name) {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: start this through \`cargo xtask client\``);
    return value;
}

/** Ends in a slash, as the client wants it. */
export const baseUrl = environment('BASE_URL');
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

/** The call must be refused with this status and this error body, by the client's own error class if one is given. */
export async function refused(status, id, call, ErrorClass = null) {
    let error = null;
    try {
        await call();
    } catch (thrown) {
        error = thrown;
    }
    assert.ok(error, `expected ${status} ${id}, but it was accepted`);
    if (!error.response) throw error; // no answer of the server: show what happened
    if (ErrorClass) assert.ok(error instanceof ErrorClass, `${error?.name} is not ${ErrorClass.name}`);
    assert.equal(error.response.status, status);
    if (id !== null) {
        // The client's request layer leaves the body unread, its helper layer throws the parsed body.
        const body = error.response.bodyUsed ? error : await error.response.json();
        assert.equal(body.id, id);
        assert.equal(body.status, 'error');
        assert.equal(typeof body.message, 'string');
    }
    return error.response;
}
