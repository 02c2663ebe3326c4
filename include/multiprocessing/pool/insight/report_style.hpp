// multiprocessing/pool/insight/report_style.hpp
//
// How a pool's report looks: the style sheet in the page that report.ipp writes. Dark or light is
// the reader's choice; on a narrow screen the tables scroll by themselves. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace multiprocessing::detail {

inline constexpr std::string_view report_style = R"css(
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --soft: #59636e; --line: #d1d9e0;
  --box: #f6f8fa; --busy: #1f7a4d; --wait: #c9a227; --lost: #cf222e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --box: #151b23;
    --busy: #3fb96f; --wait: #b58a1b; --lost: #ff6b63; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
p { margin: .3rem 0; }
.note { color: var(--soft); font-size: .87rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem;
  margin: 1rem 0 0; }
.tiles div { background: var(--box); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .7rem; }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-size: .8rem; font-weight: 600; }
.text { text-align: left; }
.what { text-align: left; white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
.bar { display: flex; width: 8rem; height: .7rem; border-radius: .2rem; overflow: hidden;
  background: var(--box); }
.bar i { background: var(--busy); }
.bar b { background: var(--wait); }
figure { position: relative; margin: 0; }
canvas { display: block; width: 100%; background: var(--box); border: 1px solid var(--line);
  border-radius: .3rem; touch-action: pan-y; }
#timeline { cursor: crosshair; }
#hint { position: absolute; display: none; pointer-events: none; max-width: 18rem; z-index: 1;
  padding: .3rem .5rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: .3rem; font-size: .82rem; overflow-wrap: anywhere; white-space: pre-line; }
button { font: inherit; min-width: 2.4rem; padding: .1rem .6rem; color: var(--ink);
  background: var(--box); border: 1px solid var(--line); border-radius: .3rem; }
)css";

}  // namespace multiprocessing::detail
