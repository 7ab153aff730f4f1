// iOS lays its keyboard over the page and moves the page underneath. The app's height follows what
// is really seen, and the page is put back where it was. Other browsers resize the page themselves
// (interactive-widget in index.html); there the numbers agree and nothing is set.

const KEYBOARD_PX = 120; // less is the browser's own bar

export function followKeyboard(): () => void {
  const seen = visualViewport;
  if (!seen) return () => {};
  const root = document.documentElement;

  const follow = () => {
    const open = seen.scale <= 1.01 && innerHeight - seen.height > KEYBOARD_PX;
    root.classList.toggle('keyboard', open);
    if (open) {
      root.style.setProperty('--view-height', `${seen.height}px`);
      if (seen.offsetTop || scrollY) scrollTo(0, 0);
    } else root.style.removeProperty('--view-height');
  };
  seen.addEventListener('resize', follow);
  seen.addEventListener('scroll', follow);
  return () => {
    seen.removeEventListener('resize', follow);
    seen.removeEventListener('scroll', follow);
  };
}
