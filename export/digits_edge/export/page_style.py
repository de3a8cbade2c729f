"""The style of a page that must open offline, on any screen, in any light, and on paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfbf8; --panel: #f4f2ec; --ink: #1d1c1a; --quiet: #66625a; --rule: #dedad0;
  --mark: #1f5fa8; --before: #a39c8d; --good: #2a6e3f; --bad: #a8321f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161614; --panel: #1f1f1c; --ink: #e9e6df; --quiet: #a09b90; --rule: #35332e;
    --mark: #7fb2ee; --before: #857f73; --good: #7cc492; --bad: #ef8d7b;
  }
  figure img { filter: invert(1) hue-rotate(180deg); border-color: transparent; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 3.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif;
}
h1, h2, h3, table, .eyebrow, figcaption, footer, dt {
  font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
.eyebrow { margin: 0; color: var(--quiet); font-size: .8rem; letter-spacing: .06em; }
h1 { margin: .2rem 0 .6rem; font-size: 2.1rem; font-weight: 650; line-height: 1.15; letter-spacing: -.015em;
  overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .4rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: 1.15rem;
  font-weight: 650; }
h3 { margin: 0 0 .35rem; color: var(--quiet); font-size: .8rem; font-weight: 500; }
p { margin: .4rem 0 .9rem; max-width: 44rem; text-wrap: pretty; }
.lead { color: var(--quiet); }
.verdict { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem;
  margin: 2rem 0 0; }
.verdict section { padding: 1.1rem 1.2rem; border-top: 3px solid var(--mark); background: var(--panel); }
.verdict .good { border-color: var(--good); }
.verdict .bad { border-color: var(--bad); }
.verdict strong { display: block; margin-bottom: .4rem; font-size: 1.25rem; line-height: 1.25; }
.verdict p { margin: 0; font-size: .95rem; }
.wide { overflow-x: auto; }
.wide + .wide { margin-top: 1.4rem; }
table { width: 100%; border-collapse: collapse; font-size: .86rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
th { color: var(--quiet); font-weight: 500; vertical-align: bottom; }
th, td { padding: .34rem .9rem .34rem 0; border-bottom: 1px solid var(--rule); text-align: left; }
td { vertical-align: middle; }
th:last-child, td:last-child { padding-right: 0; }
th.n + th:not(.n), td.n + td:not(.n) { padding-left: 1rem; }
.figures td:first-child { width: 44%; }
.n { text-align: right; white-space: nowrap; }
.quiet, .range { color: var(--quiet); }
.range { margin-left: .5em; }
svg { display: block; max-width: 100%; }
line { stroke-width: 1.6; stroke-linecap: round; }
line.s0 { stroke: var(--before); } circle.s0 { fill: var(--before); }
line.s1 { stroke: var(--mark); } circle.s1 { fill: var(--mark); }
.key i { display: inline-block; width: .55rem; height: .55rem; margin-right: .35rem; border-radius: 50%;
  background: var(--before); }
.key i + span + i { margin-left: 1rem; background: var(--mark); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); gap: 1.2rem 1rem; }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 84px; height: 84px; image-rendering: pixelated;
  border: 1px solid var(--rule); }
figcaption { margin-top: .4rem; font-size: .78rem; line-height: 1.45; font-variant-numeric: tabular-nums; }
figcaption .wrong { color: var(--bad); }
figcaption .right { color: var(--good); }
code, pre { font: .82rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { margin: .6rem 0; padding: .8rem 1rem; background: var(--panel); white-space: pre-wrap; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--quiet);
  font-size: .8rem; }
@media print {
  :root { --paper: #fff; --panel: #fff; --ink: #000; --quiet: #444; --rule: #bbb;
    --mark: #1f5fa8; --before: #8a8476; --good: #1d5a31; --bad: #8d2413; }
  @page { margin: 18mm 16mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  figure img { filter: none; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.6rem; break-after: avoid; }
  .verdict { grid-template-columns: repeat(3, 1fr); }
  .verdict section { padding: .6rem 0 0; break-inside: avoid; }
  .gallery { grid-template-columns: repeat(6, 1fr); }
  tr { break-inside: avoid; }
}
"""
