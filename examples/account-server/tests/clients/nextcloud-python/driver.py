"""Drives the published `nextcloud-async` up to an open session, and through the life of a challenge.

The package has no methods for the Passwords app. Every request below is made by its own request method, which sends
GETs with a query, POSTs as forms, and paths without `index.php`.
"""

import asyncio
import json
import os
import sys

import httpx
from nextcloud_async import NextCloudAsync
from nextcloud_async.exceptions import (
    NextCloudBadRequest,
    NextCloudForbidden,
    NextCloudNotFound,
    NextCloudUnauthorized,
)

API = '/apps/passwords/api/1.0/'
STATE = os.environ['STATE']
ENDPOINT = os.environ['BASE_URL'].rstrip('/')
FIRST = '0123456789abcdef' * 4
SECOND = 'fedcba9876543210' * 4
WRONG = 'aaaaaaaaaaaaaaaa' * 4
SALTS = ['a1' * 256, 'b2' * 64, 'c3' * 16]

with open(STATE, encoding='utf-8') as file:
    state = json.load(file)


def expect(found, expected):
    assert found == expected, f'found {found!r} instead of {expected!r}'


class Session:
    """A login, and the session id of the last answer, which is empty at first.

    Each has an HTTP client of its own, because that keeps the session's cookie.
    """

    def __init__(self, user, password):
        self.client = NextCloudAsync(client=httpx.AsyncClient(), endpoint=ENDPOINT, user=user, password=password)
        self.id = ''

    async def call(self, method, path, data=None):
        response = await self.client.request(
            method=method, sub=f'{API}{path}', data=data or {}, headers={'X-API-SESSION': self.id}
        )
        self.id = response.headers['X-API-SESSION']
        return response

    async def get(self, path, data=None):
        return (await self.call('GET', path, data)).json()

    async def post(self, path, data=None):
        return (await self.call('POST', path, data)).json()


async def step(name, run):
    """Runs one step. The steps after it rest on it, so the first failure ends the run."""
    try:
        await asyncio.wait_for(run(), 60)
    except BaseException:
        print(f'not ok - {name}', flush=True)
        raise
    print(f'ok - {name}', flush=True)


async def refused(error, call):
    try:
        await call
    except error:
        return
    raise AssertionError(f'not refused with {error.__name__}')


async def main():
    account = state['accounts']['bob']
    session = Session('bob', account['app_password'])
    other = Session('bob', account['app_password'])
    state['secrets'] += [FIRST, SECOND, WRONG]

    async def contact():
        names = {'0': 'user.session.lifetime', '1': 'user.encryption.cse', '2': 'client.unknown'}
        expected = {'user.session.lifetime': 600, 'user.encryption.cse': 0, 'client.unknown': None}
        expect(await session.post('settings/get', names), expected)
        server = await session.get('settings/list', {'scopes[]': ['server']})
        expect(server['server.baseUrl'], f'{ENDPOINT}/')
        expect(await session.get('session/request'), {})

    async def opened():
        expect(await session.post('session/open'), {'keys': [], 'success': True})
        expect(await session.get('session/keepalive'), {'success': True})

    async def challenge():
        data = {'secret': FIRST, 'data[]': SALTS}
        expect(await session.post('account/challenge/set', data), {'success': True})
        keychain = {'id': 'CSEv1r1', 'data': 'a keychain & more'}
        expect(await session.post('keychain/set', keychain), {'id': 'CSEv1r1'})
        expect(await session.get('account/challenge/get'), {'salts': SALTS, 'type': 'PWDv1r1'})

    async def proof():
        expect(await other.get('session/request'), {'challenge': {'salts': SALTS, 'type': 'PWDv1r1'}})
        await refused(NextCloudUnauthorized, other.post('session/open', {'challenge': WRONG}))
        await refused(NextCloudBadRequest, other.post('session/open', {'challenge': 'short'}))
        keys = {'CSEv1r1': 'a keychain & more'}
        expect(await other.post('session/open', {'challenge': FIRST}), {'keys': keys, 'success': True})

    async def change():
        data = {'secret': SECOND, 'oldSecret': FIRST, 'data[]': SALTS}
        expect(await other.post('account/challenge/set', data), {'success': True})
        response = await session.call('GET', 'keychain/get')
        expect((response.status_code, response.json()['id']), (412, '4ad27488'))

    async def reset():
        code = (await other.post('account/reset'))['code']
        await refused(NextCloudForbidden, other.post('account/reset', {'code': 'none'}))
        expect(await other.post('account/reset', {'code': code}), {'status': 'ok'})
        expect(await other.get('session/request'), {})

    async def closed():
        expect(await other.get('session/close'), {'success': True})

    async def refusals():
        await refused(NextCloudUnauthorized, Session('bob', 'wrong').get('session/request'))
        await refused(NextCloudNotFound, session.get('nothing'))
        await refused(NextCloudBadRequest, session.get('token/email/request'))

    async def host():
        await refused(NextCloudNotFound, session.client.login_flow_initiate())

    await step('settings are read and nothing is to be proven', contact)
    await step('a session is opened without a challenge, and kept alive', opened)
    await step('a challenge and a keychain are set by forms', challenge)
    await step('a challenge is proven by a form', proof)
    await step('a changed challenge ends the other session', change)
    await step('an account is reset by its code', reset)
    await step('a session is closed', closed)
    await step('refusals are the exceptions of the package', refusals)
    await step('the login flow is the part of the host', host)
    with open(STATE, 'w', encoding='utf-8') as file:
        json.dump(state, file)


if sys.argv[1:] != ['contact']:
    sys.exit('expected the phase `contact`: start this through `cargo xtask client`')
asyncio.run(main())
