// Work for the next frame. A page that isn't painted gets no animation frames: then a timer.

const HIDDEN_MS = 250;

export function beforePaint(work: () => void): () => void {
  let frame = 0;
  const cancel = () => {
    clearTimeout(timer);
    if (frame) cancelAnimationFrame(frame);
  };
  const run = () => {
    cancel();
    work();
  };
  const timer = setTimeout(run, typeof requestAnimationFrame === 'function' ? HIDDEN_MS : 0);
  if (typeof requestAnimationFrame === 'function') frame = requestAnimationFrame(run);
  return cancel;
}
