// The day it is, so that "today" does not stay yesterday's in a page that is open for long.

class Clock {
  today = $state.raw(new Date());

  constructor() {
    const look = () => {
      const now = new Date();
      if (now.toDateString() !== this.today.toDateString()) this.today = now;
    };
    setInterval(look, 60_000);
    document.addEventListener('visibilitychange', look);
  }
}

export const clock = new Clock();
