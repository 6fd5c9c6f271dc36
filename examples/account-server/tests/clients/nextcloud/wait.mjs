// The older reset: password and random wait. No published client speaks it any more, so this is plain HTTP.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { baseUrl, main, secret, state, step } from './steps.mjs';

const carol = state.accounts.carol;
const authorization = `Basic ${Buffer.from(`carol:${carol.app_password}`).toString('base64')}`;
let session = null;

async function call(method, path, body, { id = session } = {}) {
    const headers = { authorization, accept: 'application/json' };
    if (id !== null) headers['x-api-session'] = id;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const answer = await fetch(`${baseUrl}index.php/apps/passwords/api/1.0/${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        redirect: 'error',
    });
    const named = answer.headers.get('x-api-session');
    assert.ok(named, 'every answer names a session');
    if (id === session) session = named;
    return { status: answer.status, body: await answer.json() };
}

const reset = (body) => call('POST', 'account/reset', body);
const withPassword = () => reset({ password: carol.login_password });

function waitIn(answer) {
    assert.equal(answer.status, 202);
    assert.equal(answer.body.status, 'accepted');
    assert.ok(Number.isInteger(answer.body.wait) && answer.body.wait >= 5 && answer.body.wait <= 10);
    return answer.body.wait;
}

function refusal(answer, status, id) {
    assert.equal(answer.status, status);
    if (id !== null) assert.equal(answer.body.id, id);
    assert.equal(answer.body.status, 'error');
}

async function wait() {
    await step('wait: an account with a challenge, set over plain HTTP', async () => {
        assert.deepEqual((await call('GET', 'session/request')).body, {});
        const salts = [256, 64, 16].map((bytes) => randomBytes(bytes).toString('hex'));
        const answer = await call('POST', 'account/challenge/set', { secret: secret(randomBytes(32).toString('hex')), data: salts });
        assert.equal(answer.status, 200);
        assert.equal((await call('GET', 'account/challenge/get')).status, 200);
    });
    await step('wait: GET is refused (405)', async () => refusal(await call('GET', 'account/reset'), 405, null));
    await step('wait: an absent or mistyped password is refused (400)', async () => {
        refusal(await reset({}), 400, null);
        refusal(await reset({ password: 5 }), 400, null);
        refusal(await reset({ password: null }), 400, null);
    });
    await step('wait: a wrong password is refused (403)', async () =>
        refusal(await reset({ password: 'not the login password' }), 403, 'a361c427'));
    await step('wait: the password starts a wait of 5 to 10 seconds', async () => waitIn(await withPassword()));
    const seconds = await step('wait: too early starts another', async () => waitIn(await withPassword()));
    const over = pause(seconds * 1000 + 50); // from the answer on, so not before the server's own moment
    await step('wait: a wrong password meanwhile does no harm (403)', async () =>
        refusal(await reset({ password: 'not the login password' }), 403, 'a361c427'));
    await step('wait: a session without the passphrase cannot reset (412)', async () =>
        refusal(await call('POST', 'account/reset', { password: carol.login_password }, { id: null }), 412, '4ad27488'));
    await step('wait: after the wait the password resets the account', async () => {
        await over;
        const before = session;
        assert.deepEqual(await withPassword(), { status: 200, body: { status: 'ok' } });
        assert.notEqual(session, before);
    });
    await step('wait: after it the account is blank', async () => {
        assert.deepEqual((await call('GET', 'session/request')).body, {});
        refusal(await call('GET', 'account/challenge/get'), 404, '135d4069');
    });
}

main({ wait });
