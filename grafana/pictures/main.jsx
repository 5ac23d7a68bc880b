// Renders a dashboard's panels with Grafana's own components, from its JSON and from what Prometheus answered.
import { initPluginTranslations } from '@grafana/i18n';
import {
  createTheme, dateTime, FieldColorModeId, FieldType, getDisplayProcessor, standardTransformers,
  standardTransformersRegistry, toDataFrame, transformDataFrame,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, PortalContainer, Table, ThemeContext, TimeSeries } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { lastValueFrom } from 'rxjs';

const COLUMNS = 24;
const CELL = 32;
const GAP = 8;
const theme = createTheme({ colors: { mode: 'dark' } });

/** The settings of a field: the panel's defaults, then its overrides by name. */
function configOf(panel, name) {
  const { defaults, overrides } = panel.fieldConfig;
  const config = structuredClone(defaults);
  config.thresholds.steps = config.thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity }));
  for (const { matcher, properties } of overrides) {
    if (matcher.options !== name) continue;
    for (const { id, value } of properties) {
      const [first, second] = id.split('.');
      if (second) config[first] = { ...config[first], [second]: value };
      else config[first] = value;
    }
  }
  delete config.links;
  return config;
}

function rangeOf(values) {
  const numbers = values.filter(Number.isFinite);
  if (numbers.length === 0) return { min: null, max: null, delta: 0 };
  const [min, max] = [Math.min(...numbers, Infinity), Math.max(...numbers, -Infinity)];
  return { min, max, delta: max - min };
}

function displayed(frame, panel) {
  frame.fields.forEach((field, index) => {
    const name = field.config.displayName ?? field.name;
    field.config = { ...configOf(panel, name), displayName: field.config.displayName };
    if (!field.config.color && field.type === FieldType.number) field.config.color = { mode: FieldColorModeId.Thresholds };
    field.state = { ...field.state, range: frame.meta?.range, seriesIndex: frame.meta?.seriesIndex ?? index };
    field.display = getDisplayProcessor({ field, theme });
  });
  return frame;
}

const legend = (format, labels) =>
  format ? format.replace(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? '') : Object.values(labels).join(' ');

function ranges(panel, answers) {
  let seriesIndex = 0;
  // One scale for all.
  const range = rangeOf(Object.values(answers).flat().flatMap(({ values }) => values.map(([, value]) => Number(value))));
  return panel.targets.flatMap((target) =>
    answers[target.refId].map(({ metric, values }) => {
      const frame = toDataFrame({
        meta: { range, seriesIndex: seriesIndex++ },
        fields: [
          { name: 'Time', type: FieldType.time, values: values.map(([time]) => time * 1000) },
          {
            name: 'Value', type: FieldType.number, labels: metric, values: values.map(([, value]) => Number(value)),
            config: { displayName: legend(target.legendFormat, metric) || panel.title },
          },
        ],
      });
      return displayed(frame, panel);
    })
  );
}

async function table(panel, answers) {
  const frames = panel.targets.map(({ refId }) => {
    const rows = answers[refId];
    const labels = [...new Set(rows.flatMap(({ metric }) => Object.keys(metric)))];
    return toDataFrame({
      refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: rows.map(({ value }) => value[0] * 1000) },
        ...labels.map((name) => ({ name, type: FieldType.string, values: rows.map(({ metric }) => metric[name] ?? '') })),
        { name: panel.targets.length > 1 ? `Value #${refId}` : 'Value', type: FieldType.number, values: rows.map(({ value }) => Number(value[1])) },
      ],
    });
  });
  const [frame] = await lastValueFrom(transformDataFrame(panel.transformations, frames.filter((frame) => frame.length)));
  const { sortBy } = panel.options;
  if (sortBy) {
    const keys = sortBy.map(({ displayName, desc }) => {
      const { values } = frame.fields.find((field) => (field.config.displayName ?? field.name) === displayName);
      const told = (index) => String(values[index] ?? '');
      return (a, b) => (desc ? -1 : 1) * told(a).localeCompare(told(b), 'en', { numeric: true });
    });
    const order = [...frame.fields[0].values.keys()];
    order.sort((a, b) => keys.reduce((difference, key) => difference || key(a, b), 0));
    for (const field of frame.fields) field.values = order.map((index) => field.values[index]);
  }
  for (const field of frame.fields) field.name = field.config.displayName ?? field.name;
  return displayed(frame, panel);
}

function Stat({ panel, frames, width, height }) {
  const field = frames[0].fields[1];
  const { options } = panel;
  return (
    <BigValue theme={theme} width={width} height={height} value={field.display(field.values.at(-1))}
      colorMode={options.colorMode} graphMode={options.graphMode} textMode={options.textMode}
      sparkline={options.graphMode === 'none' ? undefined : { y: field, x: frames[0].fields[0] }} />
  );
}

async function prepared(panel, answers) {
  switch (panel.type) {
    case 'stat': {
      const frames = ranges(panel, answers);
      return (width, height) => <Stat panel={panel} frames={frames} width={width} height={height} />;
    }
    case 'timeseries': {
      const frames = ranges(panel, answers);
      if (frames.length === 0) return () => <div style={{ color: theme.colors.text.secondary }}>No data</div>;
      return (width, height, range) => (
        <TimeSeries frames={frames} width={width} height={height} timeRange={range} timeZone="utc"
          legend={{ ...panel.options.legend, displayMode: 'list', calcs: [] }} />
      );
    }
    case 'table': {
      const frame = await table(panel, answers);
      return (width, height) => <Table data={frame} width={width} height={height} ariaLabel={panel.title} />;
    }
    default:
      return undefined; // Grafana publishes no component for it
  }
}

async function main() {
  await initPluginTranslations('feedwatch');
  standardTransformersRegistry.setInit(() =>
    [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({
      id: transformation.id, name: transformation.name, transformation, editor: () => null,
    }))
  );
  const { dashboard, answers, from, to, wanted } = await (await fetch('/data.json')).json();
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: dateTime(from * 1000), to: dateTime(to * 1000) } };
  const shown = [];
  for (const panel of dashboard.panels.filter(({ title, type }) => type !== 'row' && (!wanted || wanted.includes(title)))) {
    const draw = await prepared(panel, answers[panel.id]);
    if (draw) shown.push({ panel, draw });
  }
  // What cannot be drawn leaves no hole: the rest moves up, in its order.
  let [x, y, tallest] = [0, 0, 0];
  for (const item of shown) {
    const { w, h } = item.panel.gridPos;
    if (x + w > COLUMNS) [x, y, tallest] = [0, y + tallest, 0];
    item.at = { x, y };
    x += w;
    tallest = Math.max(tallest, h);
  }
  const column = (window.innerWidth - GAP) / COLUMNS;
  createRoot(document.getElementById('page')).render(
    <ThemeContext.Provider value={theme}>
      <MemoryRouter>
        <GlobalStyles />
        <div style={{ background: theme.colors.background.canvas, position: 'relative', height: (y + tallest) * (CELL + GAP) + GAP }}>
          {shown.map(({ panel, draw, at }) => {
            const [width, height] = [panel.gridPos.w * column - GAP, panel.gridPos.h * (CELL + GAP) - GAP];
            return (
              <div key={panel.id} style={{ position: 'absolute', left: at.x * column + GAP, top: at.y * (CELL + GAP) + GAP }}>
                <PanelChrome title={panel.title} width={width} height={height}>
                  {(inner, innerHeight) => draw(inner, innerHeight, range)}
                </PanelChrome>
              </div>
            );
          })}
        </div>
        <PortalContainer />
      </MemoryRouter>
    </ThemeContext.Provider>
  );
  document.title = 'ready';
}

main().catch((error) => { document.title = 'failed'; document.body.innerText = error.stack; });
