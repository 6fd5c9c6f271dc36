// Prints, as JSON, what published packages call: of @rocket.chat/rest-typings each path with its methods and the
// members of their bodies, and of passwords-client each path.
//
// Usage: node contract.mjs REST_TYPINGS PASSWORDS_CLIENT, the folders of the unpacked packages.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const [typings, client] = process.argv.slice(2);
const version = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;

function files(folder, suffix) {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return files(path, suffix);
        return entry.name.endsWith(suffix) ? [path] : [];
    });
}

/** The names of the members that a parameter may have, in whichever alternative of its type. */
function members(checker, type) {
    const alternatives = type.isUnion() ? type.types : [type];
    const isObject = (one) => (one.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0;
    return alternatives.filter(isObject).flatMap((one) => one.getProperties().map((member) => member.name));
}

/** Path -> method -> members of the body. */
function endpoints(folder) {
    const program = ts.createProgram(files(join(folder, 'dist'), '.d.ts'), {
        noLib: false,
        skipLibCheck: true,
        strict: true,
        moduleResolution: ts.ModuleResolutionKind.Node10,
    });
    const checker = program.getTypeChecker();
    const found = {};
    const method = (path, signature) => {
        const call = ts.isPropertySignature(signature) ? signature.type : signature;
        const [parameter] = call?.parameters ?? [];
        const type = parameter?.type && checker.getTypeFromTypeNode(parameter.type);
        const names = type ? members(checker, type) : [];
        found[path] ??= {};
        found[path][signature.name.text] = [...new Set(names)].sort();
    };
    const visit = (node) => {
        const isPath = ts.isPropertySignature(node) && ts.isStringLiteral(node.name) && node.name.text.startsWith('/');
        if (isPath && node.type && ts.isTypeLiteralNode(node.type)) {
            for (const signature of node.type.members) method(node.name.text, signature);
        }
        ts.forEachChild(node, visit);
    };
    for (const source of program.getSourceFiles()) {
        if (source.fileName.startsWith(folder)) visit(source);
    }
    return found;
}

/** The paths below the Passwords app that the client calls, in either of its two forms. */
function paths(folder) {
    const found = new Set();
    for (const file of files(join(folder, 'src'), '.js')) {
        for (const [, path] of readFileSync(file, 'utf8').matchAll(/['"`](?:api\/)?1\.0\/([a-z{}\/-]+)['"`]/g)) {
            found.add(path);
        }
    }
    return [...found].sort();
}

console.log(
    JSON.stringify({
        rocketchat: { version: version(typings), endpoints: endpoints(typings) },
        nextcloud: { version: version(client), paths: paths(client) },
    }),
);
