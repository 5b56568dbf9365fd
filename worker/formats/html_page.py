"""The style and script of the HTML page: constant, so that its policy can name their hashes."""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1f23;--faint:#5d6570;--line:#d9dde2;
--lift:#f4f6f8;--mark:#ffe58a;--low:#b3261e;
--k0:#0b63b0;--k1:#b3500b;--k2:#1d7a46;--k3:#8a2fa0;--k4:#b0203f;--k5:#5c6a00;--k6:#00707a;
--k7:#6a4a2f}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e6e9ed;--faint:#9aa4af;
--line:#343b43;--lift:#1e2329;--mark:#6b5600;--low:#ff8a80;
--k0:#6db3f2;--k1:#f0a35e;--k2:#67c98f;--k3:#cf94e0;--k4:#f28a9e;--k5:#bfcf5a;--k6:#5fc9d3;
--k7:#d1b193}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:52rem;padding:1.5rem 1.25rem 4rem;background:var(--paper);
color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
h1{margin:0;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere;unicode-bidi:isolate}
.about{margin:.25rem 0 1rem;color:var(--faint);font-size:.875rem}
.k0{--k:var(--k0)}.k1{--k:var(--k1)}.k2{--k:var(--k2)}.k3{--k:var(--k3)}.k4{--k:var(--k4)}
.k5{--k:var(--k5)}.k6{--k:var(--k6)}.k7{--k:var(--k7)}
#top{position:sticky;top:0;z-index:1;padding:.5rem 0;background:var(--paper);
border-bottom:1px solid var(--line)}
audio{display:block;width:100%;height:2.5rem;margin-bottom:.5rem}
#pick{display:block;margin-bottom:.5rem;font-size:.875rem;color:var(--faint)}
[hidden]{display:none!important}
#lanes{max-height:30vh;overflow-y:auto}
.lane{display:flex;align-items:center;gap:.75rem;margin:.2rem 0}
.lane b{flex:0 0 7.5rem;color:var(--k);font-size:.8125rem;line-height:1.2;overflow:hidden;
text-overflow:ellipsis;white-space:nowrap;unicode-bidi:isolate}
.track{position:relative;flex:1;height:1rem;background:var(--lift);border-radius:3px;
overflow:hidden;cursor:pointer}
.track svg{display:block;width:100%;height:100%}
rect{fill:var(--k);stroke:var(--k);stroke-width:1;vector-effect:non-scaling-stroke}
.head{position:absolute;top:0;bottom:0;width:2px;margin-left:-1px;background:var(--ink);
pointer-events:none}
.ruler{display:flex;justify-content:space-between;color:var(--faint);font-size:.75rem;
font-variant-numeric:tabular-nums}
.named .ruler{margin-left:8.25rem}
.key span{white-space:nowrap}
.key{margin:.75rem 0 0;color:var(--faint);font-size:.8125rem}
ol{list-style:none;margin:1rem 0 0;padding:0}
li{display:grid;grid-template-columns:5.5rem 1fr;gap:0 .75rem;padding:.2rem .5rem;
border-left:3px solid var(--k,var(--line));scroll-margin-top:45vh;content-visibility:auto;
contain-intrinsic-size:auto 2rem}
li.new{margin-top:.9rem}
li[aria-current],li:target{background:var(--lift)}
li>b{grid-column:2;color:var(--k);font-size:.875rem;unicode-bidi:isolate;overflow-wrap:anywhere}
li>a{grid-column:1;color:var(--faint);font-size:.8125rem;line-height:1.9;text-decoration:none;
font-variant-numeric:tabular-nums}
li>a:hover{text-decoration:underline}
li>p{grid-column:2;margin:0;overflow-wrap:anywhere;unicode-bidi:isolate}
.can p,.can li>a{cursor:pointer}
:focus-visible{outline:2px solid var(--k0);outline-offset:1px;border-radius:2px}
.c3{border-bottom:1px dotted var(--low);background:rgb(200 60 40/.07)}
.c2{border-bottom:2px dotted var(--low);background:rgb(200 60 40/.14)}
.c1{border-bottom:2px solid var(--low);background:rgb(200 60 40/.24)}
.on{background:var(--mark);border-radius:2px}
@media (max-width:34rem){li{grid-template-columns:1fr}li>a,li>b,li>p{grid-column:1}
.lane b{flex-basis:4.5rem}.named .ruler{margin-left:5.25rem}}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--faint:#444;--line:#bbb;
--lift:#f1f1f1;--low:#b3261e;--k0:#0b63b0;--k1:#b3500b;--k2:#1d7a46;--k3:#8a2fa0;--k4:#b0203f;
--k5:#5c6a00;--k6:#00707a;--k7:#6a4a2f}
body{max-width:none;padding:0;font-size:10.5pt;print-color-adjust:exact;
-webkit-print-color-adjust:exact}#top{position:static}#lanes{max-height:none}
audio,#pick,.head{display:none!important}li{break-inside:avoid;content-visibility:visible}
li[aria-current],li:target,.on{background:none}li>b{break-after:avoid}}
"""

SCRIPT: Final = """\
"use strict";
(() => {
  const one = (what) => document.querySelector(what);
  const all = (what) => [...document.querySelectorAll(what)];
  const audio = one("audio"), pick = one("#pick"), list = one("ol"), lanes = one("#lanes");
  const total = Number(lanes.dataset.e);
  const spoken = all("[data-s]")
    .filter((each) => each.matches(".w") || !each.querySelector(".w"))
    .map((node) => ({ node, start: Number(node.dataset.s), end: Number(node.dataset.e) }))
    .sort((a, b) => a.start - b.start);
  const heads = all(".track").map((track) => {
    const head = document.createElement("div");
    head.className = "head";
    head.hidden = true;
    return track.appendChild(head);
  });
  let word = null, segment = null;

  const ask = () => {
    audio.hidden = true;
    pick.hidden = false;
    document.body.classList.remove("can");
  };
  const ready = () => {
    audio.hidden = false;
    pick.hidden = true;
    document.body.classList.add("can");
  };
  const seek = (milliseconds) => {
    if (audio.hidden) return false;
    audio.currentTime = milliseconds / 1000;
    audio.play()?.catch(() => {});
    return true;
  };
  const sign = (old, now, set, unset) => {
    if (old !== now) {
      if (old) unset(old);
      if (now) set(now);
    }
    return now;
  };
  const show = () => {
    const at = audio.currentTime * 1000;
    let low = 0, high = spoken.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (spoken[middle].start <= at) low = middle + 1; else high = middle;
    }
    const last = spoken[low - 1];
    const node = last && at < last.end ? last.node : null;
    word = sign(word, node, (n) => n.classList.add("on"), (n) => n.classList.remove("on"));
    segment = sign(segment, node ? node.closest("li") : segment, (n) => {
      n.setAttribute("aria-current", "true");
      if (!audio.paused) n.scrollIntoView({ block: "nearest" });
    }, (n) => n.removeAttribute("aria-current"));
    for (const head of heads) {
      head.hidden = false;
      head.style.left = `${Math.min(100, (100 * at) / total)}%`;
    }
  };
  const run = () => {
    show();
    if (!audio.paused) requestAnimationFrame(run);
  };

  audio.addEventListener("play", run);
  audio.addEventListener("seeked", show);
  audio.addEventListener("error", ask);
  pick.querySelector("input").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (!file) return;
    audio.src = URL.createObjectURL(file);
    ready();
  });
  list.addEventListener("click", (event) => {
    const at = event.target.closest("[data-s]");
    if (at && !String(getSelection()) && seek(Number(at.dataset.s))) event.preventDefault();
  });
  lanes.addEventListener("click", (event) => {
    const track = event.target.closest(".track");
    if (!track) return;
    const box = track.getBoundingClientRect();
    if (seek((total * (event.clientX - box.left)) / box.width)) event.preventDefault();
  });
  list.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    const line = here.closest("li");
    if (!line || event.altKey || event.ctrlKey || event.metaKey) return;
    const words = [line.querySelector("a"), ...line.querySelectorAll(".w")];
    const next = {
      ArrowDown: () => line.nextElementSibling?.querySelector("a"),
      ArrowUp: () => line.previousElementSibling?.querySelector("a"),
      ArrowRight: () => words[words.indexOf(here) + 1],
      ArrowLeft: () => words[words.indexOf(here) - 1],
      Enter: () => (here.matches(".w") && seek(Number(here.dataset.s)) ? here : null),
    }[event.key]?.();
    if (!next) return;
    if (next.matches(".w")) next.tabIndex = -1;
    next.focus();
    event.preventDefault();
  });
  if (audio.hasAttribute("src") && !audio.error) ready(); else ask();
})();
"""
