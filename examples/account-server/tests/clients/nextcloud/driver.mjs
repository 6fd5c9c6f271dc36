// Drives the published `passwords-client` through the life of an account. Every request below is made by the package's
// own code; where it has no method for an endpoint, by its request class. Phases are separated by restarts of the server.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import PasswordsClient from 'passwords-client';
import EnhancedClassLoader from 'passwords-client/enhanced-class-loader';
import {
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    PreconditionFailedError,
    TooManyRequestsError,
    UnauthorizedError,
} from 'passwords-client/errors';
import { baseUrl, main, refused, secret, state, step } from './steps.mjs';

globalThis.crypto ??= webcrypto; // Node 18 has it under another name; the client expects a browser's

const alice = state.accounts.alice;
const bob = state.accounts.bob;
const FIRST = secret('first passphrase, 电池 horse');
const SECOND = secret('second passphrase, staple ß');
const THIRD = secret('third passphrase, after reset');
const WRONG = 'a passphrase nobody set';
const RESET_CODE = /^[A-Za-z0-9+/]{4}(-[A-Za-z0-9+/]{4}){3}$/;

/** A fresh client, as after the start of an app: no session id, no keys. `api` is the package's helper layer. */
async function connect(user, token) {
    const client = new PasswordsClient({ baseUrl, user, token }, {}, new EnhancedClassLoader());
    const api = client.getInstance('legacy');
    api.initialize(client, { device: 'desktop' });
    await client.getInstance('service.encryption').ready(); // libsodium is loaded
    return { client, api };
}

const request = (client, path, data = null) => {
    const made = client.getRequest(`1.0/${path}`);
    if (data !== null) made.setData(data);
    return made.send();
};

/** What `session/request` asks for, by a fresh authorization object: the client caches the answer in each. */
async function requirements(client) {
    const authorization = client.getClass('authorization.session');
    await authorization.load();
    return authorization;
}

async function open(client, passphrase) {
    const authorization = await requirements(client);
    assert.ok(authorization.requiresChallenge(), 'a challenge is asked for');
    await authorization.authorize(passphrase);
    assert.ok(client.isAuthorized());
}

async function keychainOf(client) {
    await client.getCseV1Encryption().ready(); // decrypted, or this never ends
    return client.getCseV1Encryption().getKeychain();
}

const keyHex = (key) => Buffer.from(key).toString('hex');

async function refusedPassphrase(user, token, passphrase) {
    const { client } = await connect(user, token);
    await refused(401, 'ab6e13ba', () => open(client, passphrase), UnauthorizedError);
    assert.ok(!client.isAuthorized());
    return client;
}

async function first() {
    const { client, api } = await connect('alice', alice.app_password);
    const early = await connect('alice', alice.app_password);

    await step('settings are read before there is a session', async () => {
        const names = ['user.session.lifetime', 'server.app.version', 'server.baseUrl', 'client.unknown'];
        const settings = (await request(client, 'settings/get', names)).getData();
        assert.equal(settings['user.session.lifetime'], 600);
        assert.ok(settings['server.app.version'] >= '2024.12');
        assert.equal(settings['server.baseUrl'], baseUrl);
        assert.equal(settings['client.unknown'], null);
    });
    await step('an account without a challenge asks for nothing', async () => {
        const authorization = await requirements(client);
        assert.ok(!authorization.requiresChallenge() && !authorization.requiresToken());
        assert.ok(client.getSession().getId(), 'the answer names a session');
    });
    await step('there is no challenge to read (404)', () =>
        refused(404, '135d4069', () => request(client, 'account/challenge/get'), NotFoundError));
    await step('a keychain needs a challenge (500)', () =>
        refused(500, 'a6bb2388', () => api.setKeychain('CSEv1r1', 'text')));
    await step('a session opens without a challenge', async () => {
        await (await requirements(early.client)).authorize();
        assert.ok(early.client.isAuthorized());
    });

    await step('the first challenge is set and the keychain stored', async () => {
        const result = await api.setAccountChallenge(FIRST);
        assert.equal(result.success, true);
        const keychain = await keychainOf(client);
        state.key = { id: keychain.getCurrentKeyId(), hex: secret(keyHex(keychain.getCurrentKey())) };
    });
    await step('the session that set it is authorized', async () => {
        const { salts, type } = await api.getAccountChallenge();
        assert.equal(type, 'PWDv1r1');
        assert.deepEqual(salts.map((salt) => salt.length), [512, 128, 32]);
        state.folder = await client.getCseV1Encryption().encrypt({ label: 'Bank' }, 'folder');
        assert.equal(state.folder.cseKey, state.key.id);
    });
    await step('a session opened before the challenge is void', () =>
        refused(412, '4ad27488', () => request(early.client, 'account/challenge/get'), PreconditionFailedError));

    await step('without the passphrase every door is shut (412)', async () => {
        const { client: stranger } = await connect('alice', alice.app_password);
        for (const path of ['account/challenge/get', 'keychain/get', 'session/close', 'account/reset']) {
            await refused(412, '4ad27488', () => request(stranger, path), PreconditionFailedError);
        }
        await refused(412, '4ad27488', () => request(stranger, 'account/reset', { code: 'AAAA-AAAA-AAAA-AAAA' }));
        await refused(412, '4ad27488', () => request(stranger, 'keychain/set', { id: 'CSEv1r1', data: 'text' }));
    });

    const again = await connect('alice', alice.app_password);
    await step('a new client logs in and decrypts the keychain', async () => {
        await again.api.openSession({ password: FIRST });
        assert.ok(again.api.isAuthorized);
        const keychain = await keychainOf(again.client);
        assert.deepEqual(keychain.listKeys(), [state.key.id]);
        assert.equal(keyHex(keychain.getCurrentKey()), state.key.hex);
        const folder = await again.client.getCseV1Encryption().decrypt({ ...state.folder }, 'folder');
        assert.equal(folder.label, 'Bank');
        assert.ok(again.api.hasEncryption);
    });
    await step('an authorized session is asked for nothing more', async () => {
        assert.ok(!(await requirements(again.client)).requiresChallenge());
    });
    await step('keepalive keeps the session and its id', async () => {
        const id = again.client.getSession().getId();
        const answer = await request(again.client, 'session/keepalive');
        assert.deepEqual(answer.getData(), { success: true });
        assert.equal(again.client.getSession().getId(), id);
    });
    await step('a wrong passphrase is refused (401), the right one then opens', async () => {
        const client = await refusedPassphrase('alice', alice.app_password, WRONG);
        await open(client, FIRST);
        await keychainOf(client);
    });

    await step('a change with a wrong old passphrase is refused (401)', () =>
        refused(401, 'ab6e13ba', () => again.api.setAccountChallenge(SECOND, WRONG)));
    await step('the passphrase is changed', async () => {
        const result = await again.api.setAccountChallenge(SECOND, FIRST);
        assert.equal(result.success, true);
    });
    await step('the old passphrase is refused (401)', () => refusedPassphrase('alice', alice.app_password, FIRST));
    await step('the new passphrase opens, and decrypts old data with the old key', async () => {
        const changed = await connect('alice', alice.app_password);
        await open(changed.client, SECOND);
        const keychain = await keychainOf(changed.client);
        assert.equal(keychain.listKeys().length, 2);
        assert.notEqual(keychain.getCurrentKeyId(), state.key.id);
        assert.equal(keyHex(keychain.getKey(state.key.id)), state.key.hex);
        const folder = await changed.client.getCseV1Encryption().decrypt({ ...state.folder }, 'folder');
        assert.equal(folder.label, 'Bank');
        state.session = secret(changed.client.getSession().getId());
    });
    await step('the change ended the other sessions', () =>
        refused(412, '4ad27488', () => request(client, 'account/challenge/get'), PreconditionFailedError));
    await step('the session that made the change goes on', async () => {
        assert.equal((await again.api.getAccountChallenge()).type, 'PWDv1r1');
    });
    await step('a closed session is gone, and the answer names another', async () => {
        const id = again.client.getSession().getId();
        assert.deepEqual((await request(again.client, 'session/close')).getData(), { success: true });
        assert.notEqual(again.client.getSession().getId(), id);
        await refused(412, '4ad27488', () => request(again.client, 'keychain/get'), PreconditionFailedError);
    });
}

async function lockout() {
    await step('an owner sets a challenge and opens a session', async () => {
        const { api } = await connect('bob', bob.app_password);
        assert.equal((await api.setAccountChallenge(FIRST)).success, true);
        const { client } = await connect('bob', bob.app_password);
        await open(client, FIRST);
    });
    await step('four wrong passphrases are 401, the fifth is 403', async () => {
        for (let tries = 1; tries < 5; tries += 1) await refusedPassphrase('bob', bob.stolen_password, WRONG);
        const { client } = await connect('bob', bob.stolen_password);
        await refused(403, 'b927b225', () => open(client, WRONG), ForbiddenError);
    });
    await step('the app password that guessed has ended (401)', () => deadAppPassword());
    await step('a client that is not known yet has to wait (429, Retry-After)', async () => {
        const { client } = await connect('bob', bob.login_password);
        const answer = await refused(429, '64a6cf1f', () => requirements(client), TooManyRequestsError);
        assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    });
    await step('the owner still gets in with the device known before', async () => {
        const { client } = await connect('bob', bob.app_password);
        await open(client, FIRST);
        await keychainOf(client);
    });
}

async function deadAppPassword() {
    const { client } = await connect('bob', bob.stolen_password);
    await refused(401, null, () => requirements(client), UnauthorizedError);
}

async function restarted() {
    const { client, api } = await connect('alice', alice.app_password);
    await step('the session from before the restart goes on, under its id', async () => {
        client.getSession().setId(state.session);
        assert.equal((await api.getAccountChallenge()).type, 'PWDv1r1');
        assert.match((await request(client, 'keychain/get')).getData().CSEv1r1, /^[0-9a-f]+$/);
        assert.equal(client.getSession().getId(), state.session);
    });
    const other = await connect('alice', alice.app_password);
    await step('challenge and keychain outlived the restart', async () => {
        await open(other.client, SECOND);
        assert.equal(keyHex((await keychainOf(other.client)).getKey(state.key.id)), state.key.hex);
    });
    await step('the ended app password stays ended (401)', () => deadAppPassword());

    const ask = async () => {
        const { status, code } = await api.resetUserAccount();
        assert.equal(status, 'accepted');
        assert.match(code, RESET_CODE);
        return secret(code);
    };
    const code = await step('a reset is asked for and a code shown', ask);
    await step('a code in a GET resets nothing (403)', () =>
        refused(403, '7e130744', () => request(client, `account/reset?code=${encodeURIComponent(code)}`), ForbiddenError));
    await step('the code is worth nothing in another session (403)', () =>
        refused(403, '7e130744', () => request(other.client, 'account/reset', { code }), ForbiddenError));
    await step('a wrong code is refused (403), by both layers of the client', async () => {
        const wrong = code.startsWith('A') ? `B${code.slice(1)}` : `A${code.slice(1)}`;
        await refused(403, '7e130744', () => request(client, 'account/reset', { code: wrong }), ForbiddenError);
        await refused(403, '7e130744', () => api.resetUserAccount(wrong));
    });
    const next = await step('asking again shows another code, and the first is void (403)', async () => {
        const next = await ask();
        assert.notEqual(next, code);
        await refused(403, '7e130744', () => api.resetUserAccount(code));
        return next;
    });
    await step('nothing is lost by then', async () => {
        assert.equal((await api.getAccountChallenge()).type, 'PWDv1r1');
    });
    const before = client.getSession().getId();
    await step('the right code resets the account', async () => {
        assert.deepEqual(await api.resetUserAccount(next), { status: 'ok' });
        assert.notEqual(client.getSession().getId(), before, 'the answer names a new session');
    });
    await step('after it the account is blank: no challenge, no keychain', async () => {
        assert.ok(!(await requirements(client)).requiresChallenge());
        await refused(404, '135d4069', () => request(client, 'account/challenge/get'), NotFoundError);
        assert.deepEqual((await request(client, 'keychain/get')).getData(), []);
    });
    await step('the reset ended the other sessions', async () => {
        const id = other.client.getSession().getId();
        await request(other.client, 'session/keepalive');
        assert.notEqual(other.client.getSession().getId(), id);
    });
    await step('a code works once (403)', () => refused(403, '7e130744', () => api.resetUserAccount(next)));

    const anew = await connect('alice', alice.app_password);
    await step('a challenge is set anew, without the old passphrase', async () => {
        assert.equal((await anew.api.setAccountChallenge(THIRD)).success, true);
        const { client } = await connect('alice', alice.app_password);
        await open(client, THIRD);
        const keys = (await keychainOf(client)).listKeys();
        assert.equal(keys.length, 1);
        assert.notEqual(keys[0], state.key.id);
    });
    await step('a code is shown before the next restart', async () => {
        const { code } = await anew.api.resetUserAccount();
        state.code = secret(code);
        state.session = secret(anew.client.getSession().getId());
    });
}

async function pending() {
    const { client, api } = await connect('alice', alice.app_password);
    client.getSession().setId(state.session);
    await step('a code shown before the restart resets after it', async () => {
        assert.deepEqual(await api.resetUserAccount(state.code), { status: 'ok' });
        assert.ok(!(await requirements(client)).requiresChallenge());
    });
    await step('a method that an endpoint does not have is refused (405)', () =>
        refused(405, null, () => client.getRequest('1.0/account/reset').setMethod('DELETE').send(), MethodNotAllowedError));
}

main({ first, lockout, restarted, pending });
