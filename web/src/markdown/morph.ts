// Makes the children of one node like those of another with the fewest changes, so that what a
// person selected stays selected and nothing is laid out anew while text grows at the end.

export function morph(target: Node, wanted: Node): void {
  let old = target.firstChild;
  let next = wanted.firstChild;
  while (next) {
    const following = next.nextSibling;
    if (!old) {
      target.appendChild(next);
    } else {
      const oldFollowing: ChildNode | null = old.nextSibling;
      if (!become(old, next)) target.replaceChild(next, old);
      old = oldFollowing;
    }
    next = following;
  }
  while (old) {
    const following: ChildNode | null = old.nextSibling;
    old.remove();
    old = following;
  }
}

// False when one can't become the other.
function become(old: ChildNode, wanted: ChildNode): boolean {
  if (old instanceof Text && wanted instanceof Text) {
    if (wanted.data.startsWith(old.data)) {
      if (wanted.length > old.length) old.appendData(wanted.data.slice(old.length));
    } else {
      old.data = wanted.data;
    }
    return true;
  }
  if (!(old instanceof Element) || !(wanted instanceof Element)) return false;
  if (old.nodeName !== wanted.nodeName) return false;
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morph(old, wanted);
  return true;
}
