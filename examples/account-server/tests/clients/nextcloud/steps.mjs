// Steps against this client: what it calls refused.
import assert from 'node:assert/strict';

export { baseUrl, main, secret, state, step } from '../steps.mjs';

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
