// A mail server for one run: takes mail by SMTP, and hands it out by HTTP. Both on the loopback interface only.
import { createServer } from 'node:http';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

/** Mail that nobody has asked for, and who waits for mail; oldest first, by address. */
const arrived = new Map();
const waiting = new Map();

const queue = (queues, address) => {
    if (!queues.has(address)) queues.set(address, []);
    return queues.get(address);
};

function deliver(address, mail) {
    const reader = queue(waiting, address).shift();
    if (reader) reader(mail);
    else queue(arrived, address).push(mail);
}

const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData(stream, session, done) {
        simpleParser(stream).then(({ from, to, subject, text }) => {
            const mail = { from: from?.text, to: to?.text, subject, text };
            // The envelope says who gets it, not the header.
            for (const { address } of session.envelope.rcptTo) deliver(address.toLowerCase(), mail);
            done();
        }, done);
    },
});

/** `GET /ADDRESS`: the next mail to it, as soon as there is one. `DELETE`: how many there were, now dropped. */
const mailbox = createServer((request, response) => {
    const address = decodeURIComponent(request.url.slice(1)).toLowerCase();
    const answer = (mail) => response.end(JSON.stringify(mail));
    if (request.method === 'DELETE') {
        answer(queue(arrived, address).splice(0).length);
        return;
    }
    const mail = queue(arrived, address).shift();
    if (mail) answer(mail);
    else queue(waiting, address).push(answer);
});

const listen = (server) =>
    new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen(0, '127.0.0.1', () => resolve((server.server ?? server).address().port));
    });

process.on('SIGTERM', () => {
    smtp.close();
    mailbox.close();
    mailbox.closeAllConnections?.(); // Node 18.2 and newer
    process.exit(0);
});

Promise.all([listen(smtp), listen(mailbox)]).then(([smtpPort, mailboxPort]) => {
    console.log(`listening on smtp://127.0.0.1:${smtpPort} http://127.0.0.1:${mailboxPort}`);
});
