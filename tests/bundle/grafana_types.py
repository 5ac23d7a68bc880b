"""Reads dashboards with Grafana's own published types, and prints what those do not know, a line each.

A key that is misspelt, or stands in the wrong place, is lost between reading and writing, and so found.
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

# Read by the data source of Prometheus when it shows an annotation; the dashboard's own types do not have them.
OF_THE_DATA_SOURCE = {"tagKeys", "textFormat", "titleFormat", "useValueForTime"}


def written(value):
    return json.loads(JSONEncoder(sort_keys=True).encode(value))


def lost(before, after, place):
    """The places of `before` that `after` does not have, or has with another value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            here = f"{place}.{key}"
            if key in after:
                yield from lost(value, after[key], here)
            elif value is not None and not (key in OF_THE_DATA_SOURCE and ".annotations." in place):
                yield here
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}[{index}]")
    elif before != after:
        yield f"{place}: {before!r} becomes {after!r}"


def main(paths):
    plugins.register_default_plugins()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            dashboard = json.load(file)
        yield from lost(dashboard, written(Dashboard.from_json(dashboard)), path)
        for index, panel in enumerate(dashboard["panels"]):
            kind = RowPanel if panel["type"] == "row" else Panel
            yield from lost(panel, written(kind.from_json(panel)), f"{path}: panels[{index}]")


found = list(main(sys.argv[1:]))
print("\n".join(found))
sys.exit(1 if found else 0)
