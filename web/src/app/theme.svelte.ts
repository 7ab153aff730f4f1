// Light, dark, or as the system has it; kept on this device.

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'adjutant.theme';
const GROUND = { light: '#fdfdfb', dark: '#161615' };

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system'; // storage may be forbidden
  }
}

class ThemeChoice {
  #value = $state<Theme>(stored());

  constructor() {
    this.#show();
  }

  get value(): Theme {
    return this.#value;
  }

  set value(theme: Theme) {
    this.#value = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It counts until the page is closed.
    }
    this.#show();
  }

  #show(): void {
    const root = document.documentElement;
    if (this.#value === 'system') delete root.dataset.theme;
    else root.dataset.theme = this.#value;
    for (const meta of document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]')) {
      const system = meta.media.includes('dark') ? 'dark' : 'light';
      meta.content = GROUND[this.#value === 'system' ? system : this.#value];
    }
  }
}

export const theme = new ThemeChoice();
