// Elements. All text is set as text: nothing that an agent says is ever read as markup.

const $ = (id) => document.getElementById(id);

function el(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (name === 'class') made.className = value;
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

function svg(tag, properties, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(properties || {})) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

// What is the same stays as it is: a screen reader says only what has changed, and nobody's selection goes.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Text in which `backticks` mean something to type.
function prose(text) {
  return text.split('`').map((part, at) => (at % 2 ? el('code', {}, part) : part));
}

// A cell without anything to say is left out where space is scarce.
function blank(cell, is) {
  if (cell.hasAttribute('data-blank') !== is) cell.toggleAttribute('data-blank', is);
}

function sayProse(node, text) {
  if (node.told === text) return;
  node.told = text;
  node.replaceChildren(...prose(text));
}

// A point in time: how long ago, with the exact moment behind it. It grows older by itself.
function time(node, at, how) {
  if (!at) {
    say(node, '–');
    node.removeAttribute('title');
    delete node.dataset.at;
    return;
  }
  node.dataset.at = at;
  node.dataset.how = how;
  mark(node, 'title', words.moment(at));
  say(node, words[how](at));
}

function growOlder() {
  for (const node of document.querySelectorAll('[data-at]')) say(node, words[node.dataset.how](node.dataset.at));
}

// Keeps one child for each item, by its key, in their order; those that stay are only changed.
function keep(parent, items, keyOf, make, change) {
  const known = parent.kept || (parent.kept = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of known) {
    if (!wanted.has(key)) {
      node.remove();
      known.delete(key);
    }
  }
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    if (!node) {
      node = make(item);
      known.set(key, node);
    }
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== node) parent.insertBefore(node, place);
    change(node, item);
    before = node;
  }
}

let toastGoes = 0;
function toast(text) {
  say($('toast'), text);
  clearTimeout(toastGoes);
  toastGoes = setTimeout(() => say($('toast'), ''), 6000);
}
