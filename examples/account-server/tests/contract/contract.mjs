// Prints, as JSON, what published packages call: of @rocket.chat/rest-typings and of passwords-client each path with its
// methods and the members of their bodies. The first has types; of the second the calls are read from the sources.
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

/** `1.0/token/${this._id}/request` -> `token/{}/request`; undefined for a text that is no path of the Passwords app. */
function path(text) {
    const [, below] = /^(?:api\/)?1\.0\/([a-z{}\/-]+)$/.exec(text.replaceAll(/\$?\{[^}]*\}/g, '{}')) ?? [];
    return below;
}

/** The text of a literal, with `{}` where a template has a value. */
function text(node) {
    if (node && ts.isStringLiteralLike(node)) return node.text;
    if (node && ts.isTemplateExpression(node)) {
        return node.head.text + node.templateSpans.map((span) => `{}${span.literal.text}`).join('');
    }
    return undefined;
}

const isNull = (node) => node === undefined || node.kind === ts.SyntaxKind.NullKeyword;

/** The names of the members of an object that a call sends: those of a literal, or those that its function assigns. */
function sentMembers(node) {
    if (ts.isObjectLiteralExpression(node)) return node.properties.map((member) => member.name?.text).filter(Boolean);
    if (!ts.isIdentifier(node)) return [];
    const names = [];
    const visit = (one) => {
        if (ts.isVariableDeclaration(one) && one.name.text === node.text && one.initializer) {
            if (ts.isObjectLiteralExpression(one.initializer)) names.push(...sentMembers(one.initializer));
        }
        const isAssigned = ts.isBinaryExpression(one) && one.operatorToken.kind === ts.SyntaxKind.EqualsToken;
        if (isAssigned && ts.isPropertyAccessExpression(one.left) && one.left.expression.getText() === node.text) {
            names.push(one.left.name.text);
        }
        ts.forEachChild(one, visit);
    };
    const enclosing = ts.findAncestor(node, ts.isFunctionLike);
    if (enclosing) visit(enclosing);
    return names;
}

/** Path -> method -> members of the body, of the calls in either of the client's two forms. */
function calls(folder) {
    const found = {};
    const named = (below) => {
        const known = Object.keys(found).find((name) => path(`1.0/${name}`) === path(`1.0/${below}`));
        return (found[known ?? below] ??= {});
    };
    const call = (below, method, body) => {
        const methods = named(below);
        methods[method] = [...new Set([...(methods[method] ?? []), ...(isNull(body) ? [] : sentMembers(body))])].sort();
    };
    const sources = files(join(folder, 'src'), '.js').map((file) =>
        ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.JS),
    );
    const each = (visit) => {
        const walk = (node) => {
            visit(node);
            ts.forEachChild(node, walk);
        };
        for (const source of sources) walk(source);
    };
    // `'session.open': 'api/1.0/session/open'`
    const paths = {};
    each((node) => {
        if (!ts.isPropertyAssignment(node) || !ts.isStringLiteralLike(node.name) || !text(node.initializer)) return;
        if (!path(text(node.initializer))) return;
        const below = text(node.initializer).replace(/^api\/1\.0\//, '');
        paths[node.name.text] = below;
        // A path that is listed and never called has no methods.
        named(below);
    });
    each((node) => {
        if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
        const name = node.expression.name.text;
        if (name === '_sendRequest') {
            // `_sendRequest('session.open', data, 'POST')`: a path may come with the values of its segments.
            const [target, body, method] = node.arguments;
            const key = text(target && ts.isArrayLiteralExpression(target) ? target.elements[0] : target);
            if (paths[key]) call(paths[key], text(method) ?? (isNull(body) ? 'GET' : 'POST'), body);
        }
        if (name === 'setPath') {
            // `.setPath('1.0/session/open').setMethod('POST').setData(data)`, in any order.
            const target = path(text(node.arguments[0]) ?? '');
            if (!target) return;
            const steps = { setPath: node.arguments[0] };
            let inner = node.expression.expression;
            let outer = node.parent;
            while (ts.isCallExpression(inner) && ts.isPropertyAccessExpression(inner.expression)) {
                steps[inner.expression.name.text] = inner.arguments[0];
                inner = inner.expression.expression;
            }
            while (ts.isPropertyAccessExpression(outer) && ts.isCallExpression(outer.parent)) {
                steps[outer.name.text] = outer.parent.arguments[0];
                outer = outer.parent.parent;
            }
            // As the client decides it: data turns a GET into a POST.
            const method = text(steps.setMethod) ?? (isNull(steps.setData) ? 'GET' : 'POST');
            call(target, method, steps.setData);
        }
    });
    return found;
}

console.log(
    JSON.stringify({
        rocketchat: { version: version(typings), endpoints: endpoints(typings) },
        nextcloud: { version: version(client), endpoints: calls(client) },
    }),
);
