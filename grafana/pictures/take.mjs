// Takes the pictures: asks Prometheus what the dashboards ask, and photographs the page that shows it.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build, preview } from 'vite';

const PROMETHEUS = process.env.PROMETHEUS ?? 'http://127.0.0.1:9090';
const MINUTES = 5;
const WIDTH = 1400;
/** The dashboards, and the stream that is chosen where there is only one. */
const PICTURES = { overview: {}, stream: { stream: 'outage' } };

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const to = Date.now() / 1000;
const from = to - MINUTES * 60;

async function ask(path, parameters) {
  const response = await fetch(`${PROMETHEUS}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== 'success') throw new Error(`${parameters.query}: ${answer.error}`);
  return answer.data.result;
}

function substituted(query, values) {
  const interval = query.replaceAll('$__rate_interval', '1m');
  return ['job', 'instance', 'venue', 'stream'].reduce(
    (text, name) => text.replaceAll(`"$${name}"`, `"${values[name] ?? '.+'}"`), interval);
}

async function answers(dashboard, values) {
  const found = {};
  for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
    found[panel.id] = {};
    for (const target of panel.targets) {
      const query = substituted(target.expr, values);
      found[panel.id][target.refId] = target.instant
        ? await ask('query', { query, time: to })
        : await ask('query_range', { query, start: from, end: to, step: 5 });
    }
  }
  return found;
}

await build({ root: here('.'), logLevel: 'error' });
const server = await preview({ root: here('.'), preview: { host: '127.0.0.1', port: 0 }, logLevel: 'error' });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
for (const [name, values] of Object.entries(PICTURES)) {
  const dashboard = JSON.parse(await readFile(here(`../dashboards/${name}.json`), 'utf8'));
  const data = { dashboard, answers: await answers(dashboard, values), from, to };
  await writeFile(here('dist/data.json'), JSON.stringify(data));
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 800 } });
  page.on('pageerror', (error) => {
    console.error(name, error.stack);
    process.exitCode = 1;
  });
  await page.goto(server.resolvedUrls.local[0]);
  await page.waitForFunction(() => ['ready', 'failed'].includes(document.title));
  if ((await page.title()) === 'failed') throw new Error(await page.innerText('body'));
  await page.waitForTimeout(1000); // charts are drawn a frame after they are there
  await page.screenshot({ path: here(`../../docs/pictures/${name}.png`), fullPage: true });
  await page.close();
}
await browser.close();
await server.close();
