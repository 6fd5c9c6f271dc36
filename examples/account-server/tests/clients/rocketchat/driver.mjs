// Drives the published `@rocket.chat/api-client` through `users.resetE2EKey` and what guards it. Every request below is
// made by the package's own code, and every second factor is given by its own two-factor handler.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { RestClient } from '@rocket.chat/api-client';
import { baseUrl, mailTo, main, refused, secret, state, step, unreadMail } from './steps.mjs';
import { totp, wrongCodes } from './totp.mjs';

const RESET = '/v1/users.resetE2EKey';
const OK = { success: true };
const MUST_LOG_IN = 'You must be logged in to do this.';
const UNAUTHORIZED = { success: false, error: MUST_LOG_IN, status: 'error', message: MUST_LOG_IN };
const TOO_MANY = new RegExp(
    '^Error, too many requests\\. Please slow down\\. You must wait (\\d+) seconds before trying this endpoint ' +
        'again\\. \\[error-too-many-requests\\]$',
);
const MAILED_CODE = /\b\d{3}-\d{3}\b/;

const { ada, ivy, rex, gus, mia, max, pat, una, nan, eve, tom } = state.accounts;

const connect = ({ user_id, tokens }, token = tokens[0]) =>
    new RestClient({ baseUrl, credentials: { 'X-User-Id': user_id, 'X-Auth-Token': token } });

class NoMoreCodes extends Error {}

/** Answers the client's challenges with these codes, one after the other; then it gives up. Notes what it was asked. */
function handle(client, ...codes) {
    const asked = [];
    client.handleTwoFactorChallenge(async (challenge) => {
        asked.push(challenge);
        if (asked.length > codes.length) throw new NoMoreCodes();
        const code = codes[asked.length - 1];
        return typeof code === 'function' ? code() : code;
    });
    return asked;
}

const challenge = (method, invalidAttempt = false, emailOrUsername = undefined) => ({
    method,
    emailOrUsername,
    invalidAttempt,
});
const digestOf = ({ login_password }) => createHash('sha256').update(login_password, 'utf8').digest('hex');
const codesRemaining = async (client) => (await client.get('/v1/users.totpCodesRemaining')).remaining;

async function refusedWith(body, call) {
    assert.deepEqual((await refused(400, call)).body, body);
}

const coded = (reason, errorType) => ({ success: false, error: `${reason} [${errorType}]`, errorType });
const NOT_ALLOWED = coded('Not allowed', 'error-not-allowed');

/** The code in the next mail to the account, as it was mailed. */
async function mailedCode({ email }) {
    const mail = await mailTo(email);
    assert.equal(mail.to, email);
    const [code] = mail.text.match(MAILED_CODE) ?? [];
    assert.ok(code, `no code in the mail "${mail.subject}"`);
    return secret(code);
}

async function loggedOut(account) {
    for (const token of account.tokens) {
        const { body } = await refused(401, () => connect(account, token).post(RESET));
        assert.deepEqual(body, UNAUTHORIZED);
    }
}

async function codes() {
    await step('without a login nothing is asked for (401)', async () => {
        const strangers = [
            connect(ada, 'a token nobody has'),
            connect(ada, una.tokens[0]),
            connect({ user_id: 'nobodyKnowsThisId', tokens: ada.tokens }),
            new RestClient({ baseUrl }),
        ];
        for (const client of strangers) {
            const asked = handle(client);
            const { body } = await refused(401, () => client.post(RESET, { username: 'tom' }));
            assert.deepEqual(body, UNAUTHORIZED);
            assert.equal(asked.length, 0);
        }
    });

    const admin = connect(ada);
    const code = totp(ada.totp_secret);
    ada.code = code;
    await step('a client without a handler is told that a code is required (400)', () => {
        const details = { method: 'totp', codeGenerated: false, availableMethods: ['totp'] };
        return refusedWith({ ...coded('TOTP Required', 'totp-required'), details }, () =>
            admin.post(RESET, { username: 'tom' }),
        );
    });
    await step('the handler is asked once, and its code resets the keys of another', async () => {
        const asked = handle(admin, code);
        assert.deepEqual(await admin.post(RESET, { username: 'tom' }), OK);
        assert.deepEqual(asked, [challenge('totp')]);
    });
    await step('the other gets a notice by mail', async () => {
        const mail = await mailTo(tom.email);
        assert.equal(mail.to, tom.email);
        assert.ok(mail.subject && mail.text, 'the notice says something');
    });
    await step('the logins of the other have ended (401), those of the caller have not', async () => {
        await loggedOut(tom);
        await refused(400, () => connect(ada).post(RESET));
    });
    await step('the same code again is refused, and the handler is asked for another', async () => {
        const asked = handle(admin, code);
        await assert.rejects(() => admin.post(RESET, { username: 'tom' }), NoMoreCodes);
        assert.deepEqual(asked, [challenge('totp'), challenge('totp', true)]);
    });

    await step('a wrong code first, then the right one: one reset of the own keys', async () => {
        const client = connect(ivy);
        const [wrong] = wrongCodes(ivy.totp_secret, 1);
        const asked = handle(client, wrong, () => totp(ivy.totp_secret));
        assert.deepEqual(await client.post(RESET), OK);
        assert.deepEqual(asked, [challenge('totp'), challenge('totp', true)]);
    });
    await step('a reset of the own keys ends every login of the account (401)', () => loggedOut(ivy));

    await recovery();
    await mailed();
    await withoutDevice();
}

async function recovery() {
    const client = connect(rex);
    const [first, second] = rex.recovery_codes;
    await step('a recovery code opens where a time-based one is asked for', async () => {
        assert.equal(await codesRemaining(client), 12);
        const asked = handle(client, first);
        assert.deepEqual(await client.post(RESET, { userId: tom.user_id }), OK);
        assert.deepEqual(asked, [challenge('totp')]);
        assert.equal(await codesRemaining(client), 11);
    });
    await step('it works once; another one still works', async () => {
        const asked = handle(client, first, second);
        assert.deepEqual(await client.post(RESET, { user: 'TOM' }), OK);
        assert.deepEqual(asked, [challenge('totp'), challenge('totp', true)]);
        assert.equal(await codesRemaining(client), 10);
    });
}

async function mailed() {
    await step('a mailed code is read from the mail: a wrong one, then the right one', async () => {
        const client = connect(mia);
        let code = null;
        const asked = handle(
            client,
            async () => {
                code = await mailedCode(mia);
                return code === '000-000' ? '000-001' : '000-000';
            },
            () => code,
        );
        assert.deepEqual(await client.post(RESET), OK);
        assert.deepEqual(asked, [challenge('email', false, mia.email), challenge('email', true, mia.email)]);
        await loggedOut(mia);
    });
    await step('five wrong mailed codes end the code (400), and one mail was sent', async () => {
        const client = connect(max);
        const right = [];
        const wrong = async () => {
            if (right.length === 0) right.push(await mailedCode(max));
            return right[0] === '000-000' ? '000-001' : '000-000';
        };
        const asked = handle(client, wrong, wrong, wrong, wrong, wrong, () => right[0]);
        const { body } = await refused(400, () => client.post(RESET));
        assert.equal(body.error, 'TOTP Maximun Failed Attempts Reached [totp-max-attempts]');
        assert.equal(body.errorType, 'totp-max-attempts');
        assert.equal(asked.length, 5);
        assert.equal(await unreadMail(max.email), 0);
    });
}

/** With nothing enrolled the login password is asked for. */
async function withoutDevice() {
    await step('the digest of the login password opens an account that has enrolled nothing', async () => {
        const client = connect(pat);
        const asked = handle(client, createHash('sha256').update('not it').digest('hex'), digestOf(pat));
        assert.deepEqual(await client.post(RESET), OK);
        assert.deepEqual(asked, [challenge('password'), challenge('password', true)]);
        await loggedOut(pat);
    });
    await step('without the permission: not allowed (400), known or not, oneself or not', async () => {
        const client = connect(nan);
        for (const target of [{ username: 'tom' }, { userId: 'nobodyKnowsThisId' }, { username: 'nan' }]) {
            handle(client, digestOf(nan));
            await refusedWith(NOT_ALLOWED, () => client.post(RESET, target));
        }
    });
    await step('with it, an unknown user is named as such (400)', async () => {
        const client = connect(una);
        const reason = 'The required "userId" or "username" param provided does not match any users';
        for (const target of [{ userId: 'nobodyKnowsThisId' }, { username: 'nobody' }]) {
            handle(client, digestOf(una));
            await refusedWith(coded(reason, 'error-invalid-user'), () => client.post(RESET, target));
        }
    });
    await step('the shape of a body comes first (400), and the handler is not asked', async () => {
        const client = connect(una);
        const asked = handle(client, digestOf(una));
        const { body } = await refused(400, () => client.post(RESET, { username: 'tom', extra: '' }));
        assert.equal(body.errorType, 'invalid-params');
        assert.equal(asked.length, 0);
    });
}

/** The answer of a limit or of a wait, which came after `before`. */
function checkThrottled(before, answer, body) {
    assert.equal(answer.status, 429);
    assert.deepEqual(Object.keys(body).sort(), ['error', 'success']);
    assert.equal(body.success, false);
    const [, seconds] = body.error.match(TOO_MANY) ?? [];
    assert.ok(Number(seconds) >= 1 && Number(seconds) <= 60, body.error);
    assert.equal(answer.headers.get('retry-after'), seconds);
    const reset = Number(answer.headers.get('x-ratelimit-reset'));
    assert.ok(reset > before && reset <= Date.now() + 61_000, `${reset} is in milliseconds, and soon`);
}

async function throttled(call) {
    const before = Date.now();
    const { answer, body } = await refused(429, call);
    checkThrottled(before, answer, body);
}

async function guesses() {
    const client = connect(gus);
    await step('after five wrong codes the right one has to wait (429, with headers)', async () => {
        const asked = handle(client, ...wrongCodes(gus.totp_secret, 5), () => totp(gus.totp_secret));
        await throttled(() => client.post(RESET));
        assert.equal(asked.length, 6);
    });
    await step('the wait holds for another login of the same account (429)', async () => {
        const other = connect(gus, gus.tokens[1]);
        handle(other, () => totp(gus.totp_secret));
        await throttled(() => other.post(RESET));
    });
    await step('a recovery code is the way out', async () => {
        const asked = handle(client, gus.recovery_codes[0]);
        assert.deepEqual(await client.post(RESET), OK);
        assert.deepEqual(asked, [challenge('totp')]);
        await loggedOut(gus);
    });
}

async function enrolment() {
    const client = connect(eve);
    await step('the first device is asked for behind the login password: the login alone enrols nothing', async () => {
        const asked = handle(client, createHash('sha256').update('not it').digest('hex'));
        await assert.rejects(() => client.post('/v1/users.enableTotp'), NoMoreCodes);
        assert.deepEqual(asked, [challenge('password'), challenge('password', true)]);
    });
    await step('a device is proven and recovery codes are shown', async () => {
        const asked = handle(client, digestOf(eve));
        const { secret: base32, url } = await client.post('/v1/users.enableTotp');
        assert.deepEqual(asked, [challenge('password')]);
        eve.totp_secret = secret(base32);
        assert.equal(new URL(url).searchParams.get('secret'), base32);
        const [wrong] = wrongCodes(base32, 1);
        const { body } = await refused(400, () => client.post('/v1/users.validateTotp', { code: wrong }));
        assert.equal(body.errorType, 'invalid-totp');
        eve.code = totp(base32);
        const { codes } = await client.post('/v1/users.validateTotp', { code: eve.code });
        assert.equal(codes.length, 12);
        eve.recovery_codes = codes.map(secret);
        assert.equal(await codesRemaining(client), 12);
    });
    await step('the other login of the account has ended (401)', () =>
        refused(401, () => connect(eve, eve.tokens[1]).get('/v1/users.totpCodesRemaining')));
    await step('it is asked for from now on; the enrolling code is spent, a recovery code is not', async () => {
        const asked = handle(client, eve.code, eve.recovery_codes[11]);
        assert.deepEqual(await client.post(RESET), OK);
        assert.deepEqual(asked, [challenge('totp'), challenge('totp', true)]);
    });
}

async function restarted() {
    await step('after a restart spent recovery codes stay spent, and others work', async () => {
        const client = connect(rex);
        assert.equal(await codesRemaining(client), 10);
        const [first, second, third] = rex.recovery_codes;
        const asked = handle(client, first, second, third);
        assert.deepEqual(await client.post(RESET, { userId: tom.user_id }), OK);
        assert.equal(asked.length, 3);
        assert.equal(await codesRemaining(client), 9);
    });
    await step('after a restart a spent time-based code stays spent', async () => {
        const client = connect(ada);
        const asked = handle(client, ada.code);
        await assert.rejects(() => client.post(RESET, { username: 'tom' }), NoMoreCodes);
        assert.deepEqual(asked, [challenge('totp'), challenge('totp', true)]);
    });
    await step('after a restart ended logins stay ended (401)', async () => {
        for (const account of [tom, ivy, mia, pat, gus, eve]) await loggedOut(account);
    });
}

/** The window of the request limit as its answers must show it. A run may well see one end and the next begin. */
const limitWindow = { reset: null, left: 0 };

/** One call of a counted route, answered or refused as the window says; whether it was refused. */
async function counted(client) {
    const before = Date.now();
    const answer = await client.send('v1/users.totpCodesRemaining', 'GET').catch((refusal) => refusal);
    const body = await answer.json();
    const reset = answer.headers.get('x-ratelimit-reset');
    if (reset !== limitWindow.reset) Object.assign(limitWindow, { reset, left: 10 });
    const isRefused = limitWindow.left === 0;
    if (isRefused) checkThrottled(before, answer, body);
    else assert.equal(answer.status, 200);
    limitWindow.left = Math.max(0, limitWindow.left - 1);
    assert.equal(answer.headers.get('x-ratelimit-limit'), '10');
    assert.equal(answer.headers.get('x-ratelimit-remaining'), String(limitWindow.left));
    return isRefused;
}

async function untilRefused(client) {
    let calls = 1;
    while (!(await counted(client))) calls += 1;
    return calls;
}

async function limited() {
    const client = connect(una);
    await step('ten calls a minute are answered, and the eleventh is refused (429, with headers)', async () => {
        assert.ok((await untilRefused(client)) >= 11);
    });
    await step('another user at the same address is refused too (429)', () => untilRefused(connect(nan)));
    await step('another route is not', async () => {
        handle(client, digestOf(una));
        assert.deepEqual(await client.post(RESET), OK);
    });
}

main({ codes, guesses, enrolment, restarted, limited });
