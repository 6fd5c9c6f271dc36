// The little that every driver needs: named steps, counted by their lines, and the state that outlives a restart.
import { readFileSync, writeFileSync } from 'node:fs';

// A client may wait without limit for a keychain that does not come, and a mail may never come; a step always ends.
const STEP_LIMIT_MS = 60_000;

export function environment(name) {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: start this through \`cargo xtask client\``);
    return value;
}

/** Ends in a slash. */
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
