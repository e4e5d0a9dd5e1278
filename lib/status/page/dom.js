'use strict';

// Elements. What came from a worker becomes text and nothing else.

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings among the children become text. */
function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) created.setAttribute(attribute, value);
  created.append(...children);
  return created;
}

/** Sets a text only where it is another one: what isn't touched isn't laid out again. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

function setHidden(target, isHidden) {
  if (target.hidden !== isHidden) target.hidden = isHidden;
}

/**
 * Brings the children of a list in line with `rows`, element by element.
 *
 * @param create Makes an element.
 * @param update Fills one: `(element, row) => void`
 */
function fillList(list, rows, create, update) {
  while (list.children.length > rows.length) list.lastElementChild.remove();
  rows.forEach((row, i) => {
    const child = list.children[i] ?? list.appendChild(create());
    update(child, row);
  });
}

/** A text in an element of its own, so that what direction it has touches nothing beside it. */
const isolated = (text, className = '') => element('bdi', className === '' ? {} : { class: className }, text);

module.exports = { byId, element, fillList, isolated, setAttribute, setHidden, setText };
