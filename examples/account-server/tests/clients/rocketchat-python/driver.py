"""Drives the published `rocketchat_API` from a password to a device and a reset, and to a log-out.

The package has no methods for second factors. Every request below is made by its own request methods; a code is added
to the headers that it sends with each call. What an enrolment shows is read by programs that are not ours: its QR code
by `zbarimg`, its secret by `oathtool` and `pyotp`.
"""

import hashlib
import json
import os
import subprocess
import sys
import time

import pyotp
from rocketchat_API.APIExceptions.RocketExceptions import RocketApiException, RocketAuthenticationException
from rocketchat_API.rocketchat import RocketChat

STATE = os.environ['STATE']
SERVER = os.environ['BASE_URL'].rstrip('/')

with open(STATE, encoding='utf-8') as file:
    state = json.load(file)
PIA, KAI = state['accounts']['pia'], state['accounts']['kai']


def expect(found, expected):
    assert found == expected, f'found {found!r} instead of {expected!r}'


def secret(value):
    state['secrets'].append(value)
    return value


def step(name, run):
    try:
        run()
    except Exception:
        print(f'not ok - {name}', flush=True)
        raise
    print(f'ok - {name}', flush=True)


def connect(name, account):
    client = RocketChat(name, account['login_password'], server_url=SERVER)
    secret(client.headers['X-Auth-Token'])
    return client


def prove(client, code, method='totp'):
    client.headers |= {'x-2fa-code': code, 'x-2fa-method': method}


def refused(status, error, call):
    try:
        call()
    except RocketApiException as refusal:
        expect(refusal.status_code, status)
        assert error in str(refusal), refusal
        return
    raise AssertionError(f'expected {status} {error}')


def first_contact():
    client = RocketChat(server_url=SERVER)
    expect(client.info(), {'success': True, 'version': '8.8.1'})
    for name, password in [('pia', 'not it'), ('nobody', PIA['login_password'])]:
        try:
            RocketChat(name, password, server_url=SERVER)
        except RocketAuthenticationException:
            continue
        raise AssertionError(f'{name} is let in')


def log_in():
    global pia
    pia = connect('pia', PIA)
    me = pia.me()
    expect((me['_id'], me['username'], me['services']['totp']['enabled']), (PIA['user_id'], 'pia', False))
    expect(pia.headers['X-User-Id'], PIA['user_id'])
    by_address = RocketChat(PIA['email'], PIA['login_password'], server_url=SERVER)
    expect(by_address.me()['_id'], PIA['user_id'])


def enrol():
    global uri, totp
    refused(400, 'totp-required', lambda: pia.call_api_post('users.enableTotp'))
    prove(pia, secret(hashlib.sha256(PIA['login_password'].encode()).hexdigest()), 'password')
    begun = pia.call_api_post('users.enableTotp')
    uri = begun['url']
    totp = pyotp.parse_uri(uri)
    expect(totp.secret, secret(begun['secret']))
    expect((totp.issuer, totp.name), ('Rocket.Chat', 'pia'))


def authenticators():
    """Every one of them shows the codes that this server expects."""
    now = int(time.time())
    times = [now, now + 30, 59, 1111111109, 2000000000, 20000000000]
    codes = [totp.at(moment) for moment in times]
    for moment, code in zip(times, codes):
        oathtool = ['oathtool', '--totp', '--base32', f'--now=@{moment}', '-']
        shown = subprocess.run(oathtool, input=totp.secret, capture_output=True, text=True, check=True)
        expect(shown.stdout.strip(), code)
    wrong = [f'{(int(code) + 1) % 1000000:06}' for code in codes]
    lines = [uri, *(f'{moment} {code}' for codes in (codes, wrong) for moment, code in zip(times, codes))]
    picture = os.path.join(os.path.dirname(STATE), 'enrolment.png')
    judge = [os.environ['AUTHENTICATOR'], picture]
    judged = subprocess.run(judge, input='\n'.join(lines), capture_output=True, text=True, check=True)
    expect(judged.stdout.split(), ['right'] * len(times) + ['wrong'] * len(times))
    read = subprocess.run(['zbarimg', '--quiet', '--raw', picture], capture_output=True, text=True, check=True)
    expect(read.stdout.strip(), uri)


def validate():
    global recovery
    refused(400, 'invalid-totp', lambda: pia.call_api_post('users.validateTotp', code='000000x'))
    validated = pia.call_api_post('users.validateTotp', code=secret(totp.now()))
    recovery = [secret(code) for code in validated['codes']]
    expect(len(recovery), 12)
    expect(pia.call_api_get('users.totpCodesRemaining'), {'remaining': 12, 'success': True})
    assert pia.me()['services']['totp']['enabled']


def no_more_by_password():
    """The package has no place for a code in its log-in, so it reports what it is told."""
    try:
        RocketChat('pia', PIA['login_password'], server_url=SERVER)
    except RocketAuthenticationException:
        return
    raise AssertionError('the password alone is enough')


def keys():
    pair = {'public_key': 'public', 'private_key': 'wrapped'}
    expect(pia.call_api_post('e2e.setUserPublicAndPrivateKeys', **pair), {'success': True})
    expect(pia.call_api_get('e2e.fetchMyKeys'), {**pair, 'success': True})


def reset():
    prove(pia, recovery[0])
    expect(pia.call_api_post('users.resetE2EKey'), {'success': True})
    refused(401, 'You must be logged in', pia.me)


def log_out():
    kai, other = connect('kai', KAI), connect('kai', KAI)
    expect(kai.logout()['status'], 'success')
    refused(401, 'You must be logged in', kai.me)
    expect(other.me()['_id'], KAI['user_id'])
    third = connect('kai', KAI)
    expect(third.call_api_post('users.removeOtherTokens'), {'success': True})
    refused(401, 'You must be logged in', other.me)
    expect(third.call_api_post('users.logout')['message'], 'User kai has been logged out!')
    refused(401, 'You must be logged in', third.me)


if sys.argv[1:] != ['account']:
    sys.exit('expected the phase `account`: start this through `cargo xtask client`')
step('the version is told, and a wrong password or name is not let in', first_contact)
step('a password is enough to log in, by name and by address', log_in)
step('a device is enrolled behind the password', enrol)
step('zbarimg reads its QR code; oathtool and pyotp show the codes that are expected', authenticators)
step('its first code makes it active, and shows the recovery codes', validate)
step('from then on the password alone does not log in', no_more_by_password)
step('an end-to-end key pair is stored and fetched', keys)
step('a recovery code resets it, and ends every login', reset)
step('a log-out ends one login, and others end when they are told to', log_out)
with open(STATE, 'w', encoding='utf-8') as file:
    json.dump(state, file)
