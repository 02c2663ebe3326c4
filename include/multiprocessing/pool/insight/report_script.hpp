// multiprocessing/pool/insight/report_script.hpp
//
// What draws the charts of a pool's report: the script in the page that report.ipp writes. It reads
// the records from the element `data` and loads nothing. Text goes to the page as text, never as
// markup. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace multiprocessing::detail {

inline constexpr std::string_view report_script = R"js(
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const chunks = data.chunks.map(([worker, begin, length, call, first, items, pid, name]) =>
  ({worker, begin, end: begin + length, call, first, items, pid, name: data.names[name] || {}}));
const lane = 22, axis = 20, left = 34;
const whole = {begin: data.begin, end: Math.max(data.end, data.begin + 1)};
let shown = {...whole};

const count = (n, noun) => n.toLocaleString('en') + ' ' + noun + (n === 1 ? '' : 's');
const seconds = (ns) => ns >= 1e9 ? (ns / 1e9).toPrecision(3) + ' s'
  : ns >= 1e6 ? (ns / 1e6).toPrecision(3) + ' ms' : ns >= 1e3 ? (ns / 1e3).toPrecision(3) + ' µs'
  : Math.round(ns) + ' ns';
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const place = (canvas, time) =>
  left + (time - shown.begin) / (shown.end - shown.begin) * (canvas.clientWidth - left);

function begin(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.style.height = height + 'px';
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = '11px system-ui, sans-serif';
  return pen;
}

function drawAxis(canvas, pen, height) {
  const step = 10 ** Math.floor(Math.log10(shown.end - shown.begin));
  const room = (canvas.clientWidth - left) / ((shown.end - shown.begin) / step);
  const each = step * (room > 140 ? 0.5 : room > 60 ? 1 : room > 30 ? 2 : 5);
  pen.strokeStyle = color('--line');
  pen.fillStyle = color('--soft');
  pen.lineWidth = 1;
  const [unit, name] = shown.end - shown.begin < 1e8 ? [1e6, ' ms'] : [1e9, ' s'];
  for (let t = Math.ceil(shown.begin / each) * each; t <= shown.end; t += each) {
    const x = Math.round(place(canvas, t)) + 0.5;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height - axis);
    pen.stroke();
    if (x < canvas.clientWidth - 30) pen.fillText(+(t / unit).toPrecision(7) + name, x, height - 6);
  }
}

function drawTimeline() {
  const canvas = document.getElementById('timeline');
  const height = data.workers * lane + axis;
  const pen = begin(canvas, height);
  drawAxis(canvas, pen, height);
  for (let worker = 0; worker < data.workers; ++worker) {
    pen.fillStyle = color('--soft');
    pen.fillText(worker + 1, 6, worker * lane + 15);
  }
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, canvas.clientWidth - left, height);
  pen.clip();
  for (const chunk of chunks) {
    if (chunk.end < shown.begin || chunk.begin > shown.end) continue;
    const x = place(canvas, chunk.begin);
    // Neighbours differ in lightness, calls in hue.
    pen.fillStyle = 'hsl(' + (150 + chunk.call * 47) % 360 + ' 50% ' + (chunk.first % 2 ? 44 : 52) +
      '%)';
    pen.fillRect(x, chunk.worker * lane + 3, Math.max(0.7, place(canvas, chunk.end) - x), lane - 6);
  }
  pen.strokeStyle = color('--lost');
  pen.lineWidth = 2;
  for (const loss of data.losses) {
    const x = place(canvas, loss.when), y = loss.worker * lane + lane / 2;
    pen.beginPath();
    pen.moveTo(x - 5, y - 5);
    pen.lineTo(x + 5, y + 5);
    pen.moveTo(x + 5, y - 5);
    pen.lineTo(x - 5, y + 5);
    pen.stroke();
  }
  pen.restore();
}

// How many nanoseconds workers have worked in each of `parts` parts of what is shown.
function busyTimes(parts) {
  const times = new Float64Array(parts), width = (shown.end - shown.begin) / parts;
  for (const chunk of chunks) {
    const from = Math.max(chunk.begin, shown.begin), to = Math.min(chunk.end, shown.end);
    for (let i = Math.max(0, Math.floor((from - shown.begin) / width));
         i < parts && shown.begin + i * width < to; ++i) {
      const begins = shown.begin + i * width;
      times[i] += Math.max(0, Math.min(to, begins + width) - Math.max(from, begins));
    }
  }
  return times;
}

function drawUse() {
  const canvas = document.getElementById('use'), height = 120;
  const pen = begin(canvas, height);
  drawAxis(canvas, pen, height);
  const parts = Math.max(1, Math.min(240, Math.floor((canvas.clientWidth - left) / 3)));
  const most = (shown.end - shown.begin) / parts * data.workers;
  const floor = height - axis, times = busyTimes(parts);
  pen.fillStyle = color('--soft');
  pen.fillText('100%', 3, 11);
  pen.fillText('0', 3, floor);
  pen.fillStyle = color('--busy');
  const width = (canvas.clientWidth - left) / parts;
  times.forEach((time, i) => {
    const share = Math.min(1, time / most) * (floor - 2);
    pen.fillRect(left + i * width, floor - share, Math.max(1, width - 0.5), share);
  });
}

function describe(chunk) {
  const last = chunk.first + chunk.items - 1;
  return (chunk.items === 1 ? 'item ' + chunk.first : 'items ' + chunk.first + ' to ' + last) +
    (chunk.name.stream ? '' : ' of call ' + chunk.call) +
    (chunk.name.text ? ', ' + chunk.name.text : '') + '\n' +
    seconds(chunk.end - chunk.begin) + ' from ' + (chunk.begin / 1e9).toFixed(3) +
    ' s on, worker ' + (chunk.worker + 1) + ', pid ' + chunk.pid;
}

function point(event) {
  const canvas = document.getElementById('timeline'), hint = document.getElementById('hint');
  const worker = Math.floor(event.offsetY / lane), near = 3;
  const hit = chunks.find((c) => c.worker === worker &&
    event.offsetX >= place(canvas, c.begin) - near && event.offsetX <= place(canvas, c.end) + near);
  const loss = data.losses.find((l) => l.worker === worker &&
    Math.abs(place(canvas, l.when) - event.offsetX) < 7);
  hint.style.display = hit || loss ? 'block' : 'none';
  if (!hit && !loss) return;
  hint.textContent = loss ? loss.what : describe(hit);
  hint.style.left = Math.max(0, Math.min(event.offsetX + 12, canvas.clientWidth - 290)) + 'px';
  hint.style.top = (worker + 1) * lane + 4 + 'px';
}

function zoom(factor) {
  const middle = (shown.begin + shown.end) / 2;
  const half = Math.max(500, (shown.end - shown.begin) / 2 * factor);
  show(middle - half, middle + half);
}
function move(share) {
  const by = (shown.end - shown.begin) * share;
  show(shown.begin + by, shown.end + by);
}
function show(from, to) {
  const length = Math.min(to - from, whole.end - whole.begin);
  shown.begin = Math.min(Math.max(from, whole.begin), whole.end - length);
  shown.end = shown.begin + length;
  draw();
}

function draw() {
  drawTimeline();
  drawUse();
  const busy = busyTimes(1)[0] / ((shown.end - shown.begin) * data.workers);
  document.getElementById('caption').textContent = 'From ' + (shown.begin / 1e9).toFixed(3) +
    ' s to ' + (shown.end / 1e9).toFixed(3) + ' s the workers were ' +
    Math.round(Math.min(1, busy) * 100) + '% busy; ' + count(chunks.length, 'chunk') +
    ' recorded.';
}

if (document.getElementById('timeline')) {
  const timeline = document.getElementById('timeline');
  timeline.setAttribute('aria-label', count(chunks.length, 'chunk') + ' of ' +
    count(data.workers, 'worker'));
  timeline.addEventListener('pointermove', point);
  timeline.addEventListener('pointerdown', point);
  timeline.addEventListener('pointerleave',
    () => { document.getElementById('hint').style.display = 'none'; });
  for (const [id, act] of [['nearer', () => zoom(0.5)], ['farther', () => zoom(2)],
      ['earlier', () => move(-0.3)], ['later', () => move(0.3)]]) {
    document.getElementById(id).addEventListener('click', act);
  }
  window.addEventListener('resize', draw);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  draw();
}
)js";

}  // namespace multiprocessing::detail
