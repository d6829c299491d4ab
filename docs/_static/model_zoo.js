// The model zoo's page: filters, sorting, an accuracy-against-cost chart, copying. No dependencies.
(() => {
  'use strict';
  const root = document.getElementById('zoo');
  if (!root) return;

  const SVG = 'http://www.w3.org/2000/svg';
  const find = (id) => document.getElementById(`zoo-${id}`);
  const body = find('table').tBodies[0];
  const headers = [...find('table').tHead.rows[0].cells];
  const columnOf = (key) => headers.findIndex((header) => header.dataset.key === key);
  const filters = [...root.querySelectorAll('[data-filter]')];
  // Colours that are distinguishable with any colour vision, and a shape for each.
  const LOOKS = {
    ECA: ['#d55e00', 'circle'], none: ['#7a7a7a', 'square'], SE: ['#0072b2', 'triangle'],
    CBAM: ['#009e73', 'diamond'], GC: ['#cc79a7', 'down'], 'ECA-NS': ['#e69f00', 'diamond'],
    'Non-local': ['#8a5fbf', 'square'], A2: ['#56b4e9', 'triangle'], AA: ['#a0522d', 'down'],
    GSoP: ['#2aa198', 'square'], other: ['#b8a000', 'triangle'],
  };
  const look = (attention) => LOOKS[attention] || LOOKS.other;
  const number = (text) => (text === '' || text === undefined ? NaN : Number(text));

  const models = [...body.rows].map((row, index) => {
    const value = (key) => row.cells[columnOf(key)].dataset.value;
    return {
      row, index, ...row.dataset, tasks: row.dataset.task.split('|'),
      parameters: number(value('parameters')) / 1e6, flops: number(value('flops')) / 1e9,
      top1: number(value('top1')), box: number(value('box')), mask: number(value('mask')),
    };
  });

  // --- filters, kept in the address so that a view can be bookmarked -------------------------
  const shown = () => models.filter((model) => !model.row.hidden);

  function apply() {
    const search = find('search').value.trim().toLowerCase();
    for (const model of models) {
      model.row.hidden = !(model.name.includes(search) && filters.every(({value, dataset}) =>
        !value || (dataset.filter === 'task' ? model.tasks : [model[dataset.filter]])
          .includes(value)));
    }
    const count = shown().length;
    find('count').textContent = `${count} of ${models.length} models`;
    const state = new URLSearchParams();
    for (const field of [...filters, find('search'), find('x'), find('y')]) {
      if (field.value && !(field.selectedIndex === 0)) state.set(field.id.slice(4), field.value);
    }
    history.replaceState(null, '', state.size === 0 && !location.hash.includes('=')
      ? location.hash || location.pathname + location.search : `#${state}`);
    draw();
  }

  function restore() {
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const field = find(name);
      if (field && 'value' in field) field.value = value;
      if (field && field.selectedIndex === -1) field.selectedIndex = 0;
    }
  }

  // Each task has its own accuracies: choosing one selects the chart that has points for it.
  function matchAxis() {
    const metric = {Classification: 'top1', 'Object detection': 'box',
      'Instance segmentation': 'mask'}[find('task').value];
    if (metric) find('y').value = metric;
  }

  // --- sorting -------------------------------------------------------------------------------
  function sort(header, index) {
    const ascending = header.getAttribute('aria-sort') !== 'ascending';
    headers.forEach((other) => other.removeAttribute('aria-sort'));
    header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    const key = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent;
    const numeric = body.rows[0].cells[index].classList.contains('number');
    const rows = models.map(({row}) => row);
    rows.sort((a, b) => {
      const [left, right] = [key(a), key(b)];
      // What has no value comes last either way.
      if (numeric && (left === '' || right === '')) return (left === '') - (right === '');
      const order = numeric ? left - right
        : left.localeCompare(right, 'en', {numeric: true, sensitivity: 'base'});
      return ascending ? order : -order;
    });
    body.append(...rows);
  }

  // --- chart ---------------------------------------------------------------------------------
  function element(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function marker(shape, x, y, r, attributes) {
    const path = {
      circle: null,
      square: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
      triangle: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
      down: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]],
      diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    }[shape];
    if (!path) return element('circle', {cx: x, cy: y, r, ...attributes});
    const points = path.map(([dx, dy]) => `${x + r * 0.95 * dx},${y + r * 0.95 * dy}`).join(' ');
    return element('polygon', {points, ...attributes});
  }

  function ticks(low, high, wanted) {
    const raw = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
    const values = [];
    for (let i = Math.ceil(low / step); i * step <= high; i += 1) values.push(i * step);
    return values.map((value) => Number(value.toFixed(6)));
  }

  function range(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low) * 0.07 || Math.abs(high) * 0.05 || 1;
    return [low - margin, high + margin];
  }

  function draw() {
    const [cost, metric] = [find('x').value, find('y').value];
    const points = shown().filter((model) => !Number.isNaN(model[metric]));
    const [plot, legend] = [find('plot'), find('legend')];
    plot.replaceChildren();
    legend.replaceChildren();
    if (!points.length) {
      const note = document.createElement('p');
      note.className = 'zoo-empty';
      note.textContent = 'None of the models below has a published accuracy of this kind.';
      plot.append(note);
      return;
    }
    const [width, height] = [960, 400];
    const [left, right, top, bottom] = [58, 16, 14, 50];
    const [x0, x1] = range(points.map((model) => model[cost]));
    const [y0, y1] = range(points.map((model) => model[metric]));
    const x = (value) => left + (value - x0) / (x1 - x0) * (width - left - right);
    const y = (value) => height - bottom - (value - y0) / (y1 - y0) * (height - top - bottom);
    const text = (id) => find(id).selectedOptions[0].textContent;
    const svg = element('svg', {
      viewBox: `0 0 ${width} ${height}`, role: 'group',
      'aria-label': `${text('y')} against ${text('x')}, ${points.length} models`,
    });
    for (const value of ticks(y0, y1, 6)) {
      svg.append(element('line', {x1: left, x2: width - right, y1: y(value), y2: y(value),
        class: 'grid'}), element('text', {x: left - 8, y: y(value) + 4, 'text-anchor': 'end'},
      String(value)));
    }
    for (const value of ticks(x0, x1, 8)) {
      svg.append(element('line', {x1: x(value), x2: x(value), y1: top, y2: height - bottom,
        class: 'grid'}), element('text', {x: x(value), y: height - bottom + 18,
        'text-anchor': 'middle'}, String(value)));
    }
    svg.append(
      element('text', {x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle',
        class: 'axis'}, text('x')),
      element('text', {x: 0, y: 0, 'text-anchor': 'middle', class: 'axis',
        transform: `translate(14 ${(top + height - bottom) / 2}) rotate(-90)`}, text('y')));

    const series = Map.groupBy ? Map.groupBy(points, kind) : group(points, kind);
    for (const members of series.values()) {
      members.sort((a, b) => a[cost] - b[cost]);
      svg.append(element('polyline', {
        points: members.map((model) => `${x(model[cost])},${y(model[metric])}`).join(' '),
        stroke: look(members[0].attention)[0], class: 'series'}));
    }
    const label = element('text', {class: 'tooltip', 'aria-hidden': 'true'});
    // ECA lies on top where points cover each other.
    const order = [...points].sort((a, b) => (a.attention === 'ECA') - (b.attention === 'ECA'));
    for (const model of order) {
      const [colour, shape] = look(model.attention);
      const [px, py] = [x(model[cost]), y(model[metric])];
      const node = marker(shape, px, py, 6, {
        fill: colour, class: 'point', tabindex: -1, role: 'button', 'data-name': model.name,
        'aria-label': `${model.name}: ${model[metric]}, ${model.parameters.toFixed(2)} M `
          + `parameters, ${model.flops.toFixed(2)} G FLOPs`,
      });
      const show = () => {
        label.textContent = `${model.name}: ${model[metric]}`;
        label.setAttribute('x', px);
        label.setAttribute('y', py < 40 ? py + 24 : py - 13);
        const share = (px - left) / (width - left - right);
        label.setAttribute('text-anchor', share < 0.3 ? 'start' : share > 0.7 ? 'end' : 'middle');
        svg.append(label);
        mark(model.row);
      };
      const hide = () => { label.remove(); mark(null); };
      node.addEventListener('mouseenter', show);
      node.addEventListener('mouseleave', hide);
      node.addEventListener('focus', show);
      node.addEventListener('blur', hide);
      node.addEventListener('click', () => reveal(model.row));
      svg.append(node);
    }
    // One stop for the Tab key; the arrow keys go through the points from cheap to costly.
    const nodes = [...points].sort((a, b) => a[cost] - b[cost] || a[metric] - b[metric])
      .map((model) => svg.querySelector(`[data-name="${model.name}"]`));
    nodes[0].setAttribute('tabindex', 0);
    svg.addEventListener('keydown', (event) => {
      const at = nodes.indexOf(event.target);
      const to = {ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1,
        Home: 0, End: nodes.length - 1}[event.key];
      if (at >= 0 && to !== undefined) {
        event.preventDefault();
        const next = nodes[Math.min(nodes.length - 1, Math.max(0, to))];
        nodes.forEach((node) => node.setAttribute('tabindex', node === next ? 0 : -1));
        next.focus();
      } else if (at >= 0 && (event.key === 'Enter' || event.key === ' ')) {
        event.preventDefault();
        event.target.dispatchEvent(new MouseEvent('click'));
      }
    });
    plot.append(svg);
    const named = new Set(points.map(({attention}) => (attention in LOOKS ? attention : 'other')));
    for (const attention of Object.keys(LOOKS).filter((each) => named.has(each))) {
      const item = document.createElement('span');
      const [colour, shape] = LOOKS[attention];
      const title = {none: 'no attention', other: 'variants of SE'}[attention] || attention;
      item.append(element('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true'},
        marker(shape, 8, 8, 5.5, {fill: colour})), title);
      legend.append(item);
    }
  }

  const kind = (model) => [model.attention, model.detector, model.backbone.replace(/\d+/, '')]
    .join();

  function group(items, key) {
    const groups = new Map();
    for (const item of items) groups.set(key(item), [...(groups.get(key(item)) || []), item]);
    return groups;
  }

  function mark(row) {
    body.querySelectorAll('.marked').forEach((other) => other.classList.remove('marked'));
    if (row) row.classList.add('marked');
  }

  function reveal(row) {
    const link = row.querySelector('a');
    row.scrollIntoView({block: 'center'});
    link.focus({preventScroll: true});
    mark(row);
  }

  // --- copying -------------------------------------------------------------------------------
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Where a page of a file has no clipboard: through a selection.
      const field = document.createElement('textarea');
      field.value = text;
      field.style.position = 'fixed';
      field.style.opacity = '0';
      document.body.append(field);
      field.select();
      const done = document.execCommand('copy');
      field.remove();
      return done;
    }
  }

  async function copyFrom(button) {
    const text = button.dataset.copy;
    const done = await copy(text);
    button.focus();
    button.textContent = done ? 'copied' : 'failed';
    find('message').textContent = done ? `Copied: ${text}` : `Copy this line: ${text}`;
    setTimeout(() => { button.textContent = 'copy'; }, 2000);
  }

  // --- start ---------------------------------------------------------------------------------
  headers.forEach((header, index) => {
    if (!('sortable' in header.dataset)) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...header.childNodes);
    button.addEventListener('click', () => sort(header, index));
    header.append(button);
  });
  root.querySelectorAll('.zoo-copy').forEach((button) => {
    button.hidden = false;
    button.addEventListener('click', () => copyFrom(button));
  });
  find('controls').hidden = false;
  find('chart').hidden = false;
  find('controls').addEventListener('submit', (event) => event.preventDefault());
  find('controls').addEventListener('reset', () => setTimeout(apply));
  find('task').addEventListener('change', matchAxis);
  for (const field of [...filters, find('search'), find('x'), find('y')]) {
    field.addEventListener(field.tagName === 'SELECT' ? 'change' : 'input', apply);
  }
  restore();
  apply();
})();
