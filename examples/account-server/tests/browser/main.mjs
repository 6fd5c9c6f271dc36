// The pages of account-server in a real browser. Arguments: the server's address, the password of the demo account, the
// browser's program, the folder for screenshots, and the file that says by how much the server's clock is ahead. Prints
// one line for each step.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [url, password, program, folder, clock] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
await mkdir(folder, { recursive: true });

/** By how many seconds the server's clock is ahead of ours. */
let shift = 0;

/** Lets time pass on the server. */
async function later(seconds) {
  shift += seconds;
  // The server reads the file at any moment, so it is replaced as a whole.
  await writeFile(`${clock}.new`, `+${shift}s`);
  await rename(`${clock}.new`, clock);
}

/** Returns the code that an app shows for a key in base32, so many seconds from now (RFC 6238). */
function code(key, ahead = 0) {
  let bits = "";
  for (const symbol of key.replaceAll(" ", "")) {
    bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(symbol).toString(2).padStart(5, "0");
  }
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor((Date.now() / 1000 + shift + ahead) / 30)));
  const mac = createHmac("sha1", bytes).update(step).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
/** The server's certificate is its own. */
const trusting = { ignoreHTTPSErrors: true };
let context = await browser.newContext(trusting);
let page = await open(context);

/** Opens a page that fails the run if the content security policy refuses something. */
async function open(context) {
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy/.test(message.text())) {
      throw new Error(message.text());
    }
  });
  page.on("pageerror", (error) => { throw error; });
  return page;
}

async function step(name, act) {
  try {
    await act();
  } catch (error) {
    console.log(`not ok - ${name}`);
    console.error(error);
    if (page !== undefined) {
      await page.screenshot({ path: `${folder}/failed.png`, fullPage: true });
      console.error(await page.locator("main").innerText());
    }
    await browser.close();
    process.exit(1);
  }
  console.log(`ok - ${name}`);
}

/** Checks the page's accessibility, and takes pictures of it: two sizes, light and dark. */
async function look(name) {
  for (const scheme of ["light", "dark"]) {
    // Without motion, so that no picture shows a change of colours half way.
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const [size, width, height] of [["wide", 1280, 900], ["narrow", 375, 740]]) {
      await page.setViewportSize({ width, height });
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(beyond <= 0, `${name} is ${beyond} pixels too wide at ${width}`);
      await page.screenshot({ path: `${folder}/${name}-${size}-${scheme}.png`, fullPage: true });
    }
    if (await page.evaluate(() => window.axe === undefined)) {
      await page.evaluate(await readFile(axe, "utf8"));
    }
    const { violations } = await page.evaluate(() => window.axe.run({
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" ")}`);
    assert.deepEqual(found, [], `${name}, ${scheme}`);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
  await page.setViewportSize({ width: 1280, height: 900 });
}

const has = (text) => page.getByText(text).first().waitFor({ timeout: 10_000 });
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const follow = (name) => page.getByRole("link", { name, exact: true }).first().click();

async function signIn(typed) {
  await page.goto(`${url}/login`);
  await page.getByLabel("Name").fill("demo");
  await page.getByLabel("Password").fill(typed);
  await press("Sign in");
}

let key;
let codes;

await step("without a session there is the log-in page", async () => {
  await page.goto(url);
  assert.equal(new URL(page.url()).pathname, "/login");
  await look("login");
});
await step("a wrong password is refused", async () => {
  await signIn("wrong");
  await has("The name or the password is wrong.");
  await look("login-wrong");
});
await step("the password signs in", async () => {
  await signIn(password);
  await has("Two-factor authentication is off");
  await look("overview-off");
});
await step("an enrolment asks for the password", async () => {
  await follow("Set up an authenticator app");
  await look("enrol");
  await page.getByLabel("Name of the device").fill("Phone");
  await page.getByLabel("Your password").fill("wrong");
  await press("Continue");
  await has("This password is wrong.");
  await look("enrol-wrong");
  await page.getByLabel("Your password").fill(password);
  await press("Continue");
  await has("Scan this picture");
  await look("scan");
});
await step("a wrong code shows the same key again", async () => {
  key = await page.locator("#key").innerText();
  await page.getByLabel("Code from the app").fill("000000");
  await press("Turn on");
  await has("This code is not correct.");
  assert.equal(await page.locator("#key").innerText(), key);
  assert.equal(await page.evaluate(() => document.activeElement.name), "code", "the cursor is in the field");
});
await step("a second tab makes the first tab's key void", async () => {
  const first = page;
  page = await open(context);
  await page.goto(`${url}/authenticators/add`);
  await page.getByLabel("Your password").fill(password);
  await press("Continue");
  const second = await page.locator("#key").innerText();
  const tab = page;
  page = first;
  await page.getByLabel("Code from the app").fill(code(key));
  await press("Turn on");
  await has("only the newest key works");
  page = tab;
  key = second;
  await first.close();
});
await step("the right code turns it on and shows recovery codes", async () => {
  await page.getByLabel("Code from the app").fill(code(key, -30));
  await press("Turn on");
  await has("Keep your recovery codes");
  codes = await page.locator("#codes code").allInnerTexts();
  assert.ok(codes.length >= 10);
  await look("codes");
});
await step("the codes are copied and saved", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  await press("Copy");
  await has("Copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), codes.join("\n"));
  const [download] = await Promise.all([page.waitForEvent("download"), press("Download")]);
  assert.equal(download.suggestedFilename(), "recovery-codes.txt");
  await follow("I have kept these codes");
  await has("Two-factor authentication is on");
  await look("overview-on");
});
await step("new recovery codes wait until they are kept", async () => {
  await follow("Make new codes");
  await look("codes-make");
  await page.getByLabel("Code from your authenticator app").fill(codes.shift());
  await press("Make new codes");
  await has("These codes do not work until you confirm below.");
  codes = await page.locator("#codes code").allInnerTexts();
  await press("I have kept these codes");
  await has("The old ones are void.");
});
await step("the whole activity is shown", async () => {
  await follow("Show all activity");
  await has("If you do not recognise something");
  await look("activity");
});
await step("an action is confirmed by a typed code", async () => {
  await page.goto(url);
  await follow("Continue: Log out all chat clients");
  await look("confirm");
  await press("Continue");
  await has("To confirm, type this code:");
  await look("confirm-code");
  await page.getByLabel("The code shown above").fill("wrong");
  await press("Do it now");
  await has("That was not the code");
  await page.getByLabel("The code shown above").fill(await page.locator(".shown code").innerText());
  await press("Do it now");
  await has("It is done.");
});
await step("an action is confirmed by the password after a wait", async () => {
  await follow("Continue: Reset the chat keys");
  await press("Continue");
  assert.equal(await page.getByRole("button", { name: "Do it now" }).count(), 0, "the button comes with the end");
  await page.getByLabel("Your password").fill("wrong");
  await page.getByRole("button", { name: "Do it now" }).waitFor();
  await press("Do it now");
  await has("This password is wrong.");
  await page.getByLabel("Your password").fill(password);
  await press("Do it now");
  await has("It is done.");
  await follow("Continue: Reset the chat keys");
  await press("Continue");
  await look("confirm-wait");
  await follow("Cancel");
});
await step("the keyboard reaches the content and the first act", async () => {
  await page.goto(url);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
});
await step("signing out ends the session", async () => {
  const [cookie] = (await context.cookies()).filter(({ name }) => name === "account_session");
  assert.ok(cookie.httpOnly && cookie.sameSite === "Lax" && cookie.secure === url.startsWith("https:"));
  await press("Sign out");
  await has("Sign in");
  await context.addCookies([cookie]);
  await page.goto(url);
  assert.equal(new URL(page.url()).pathname, "/login", "the old cookie opens nothing");
});
await step("a log-in takes a code, and a wrong one is refused", async () => {
  await signIn(password);
  await has("Enter your code");
  await look("login-code");
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await press("Sign in");
  await has("This code is wrong or was used before.");
  await page.getByLabel("Code", { exact: true }).fill(code(key));
  await press("Sign in");
  await has("Two-factor authentication is on");
});
await step("another browser's session ends, this one stays", async () => {
  const [own, ownPage] = [context, page];
  context = await browser.newContext(trusting);
  page = await open(context);
  await signIn(password);
  await page.getByLabel("Code", { exact: true }).fill(codes.shift());
  await press("Sign in");
  await has("Two-factor authentication is on");
  await press("Sign out everywhere else");
  await has("All other sessions were ended.");
  await ownPage.goto(url);
  assert.equal(new URL(ownPage.url()).pathname, "/login");
  await own.close();
});
await step("a code that confirms an action expires", async () => {
  await page.goto(url);
  await follow("Continue: Log out all chat clients");
  await press("Continue");
  const expired = await page.locator(".shown code").innerText();
  await later(601);
  await page.getByLabel("The code shown above").fill(expired);
  await press("Do it now");
  await has("it is no longer valid");
  await look("confirm-expired");
  assert.notEqual(await page.locator(".shown code").innerText(), expired);
  await follow("Cancel");
});
await step("an enrolment expires", async () => {
  await follow("Add another app");
  await page.getByLabel("Name of the device").fill("Tablet");
  await page.getByLabel("Code from your authenticator app").fill(code(key));
  await press("Continue");
  const expired = await page.locator("#key").innerText();
  await later(601);
  await page.getByLabel("Code from the app").fill(code(expired));
  await press("Turn on");
  await has("Nothing is waiting for this code");
  await look("enrol-expired");
  await follow("Start over");
  await has("You need an app that shows codes");
});
await step("a device is renamed with a code", async () => {
  await page.goto(url);
  await follow("Rename Phone");
  await page.getByLabel("Name of the device").fill("Old phone");
  await page.getByLabel("Code from your authenticator app").fill("000000");
  await press("Rename");
  await has("This code is wrong or was used before.");
  await look("rename");
  assert.equal(await page.getByLabel("Name of the device").inputValue(), "Old phone", "what was typed is kept");
  await page.getByLabel("Code from your authenticator app").fill(code(key));
  await press("Rename");
  await has("The name was changed.");
  await has("Old phone");
});
await step("pages in German", async () => {
  const german = await browser.newContext({ ...trusting, locale: "de-DE", storageState: await context.storageState() });
  const english = page;
  page = await open(german);
  await page.goto(url);
  await has("Zwei-Faktor-Authentisierung ist eingeschaltet");
  assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
  await look("overview-german");
  await german.close();
  page = english;
});
await step("without script everything works", async () => {
  const plain = await browser.newContext({ ...trusting, javaScriptEnabled: false, storageState: await context.storageState() });
  page = await open(plain);
  await page.goto(url);
  await page.getByRole("link", { name: /^Remove/ }).first().click();
  await has("It is your last factor.");
  await page.getByLabel("Code from your authenticator app").fill(codes.shift());
  await press("Remove");
  await has("The factor was removed.");
  await has("Two-factor authentication is off");
  await follow("Set up an authenticator app");
  await page.getByLabel("Your password").fill(password);
  await press("Continue");
  const again = await page.locator("#key").innerText();
  assert.equal(await page.getByRole("button", { name: "Copy" }).count(), 0, "no button that needs script");
  await page.getByLabel("Code from the app").fill(code(again, -30));
  await press("Turn on");
  await has("Keep your recovery codes");
  await follow("I have kept these codes");
  await has("Two-factor authentication is on");
  await plain.close();
});
await browser.close();
