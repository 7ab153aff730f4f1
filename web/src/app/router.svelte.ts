// Where the person is: the address bar, without a library.

export type Route =
  | { screen: 'chat'; threadId: string | null }
  | { screen: 'settings'; page: string }
  | { screen: 'admin'; page: string }
  | { screen: 'welcome' }
  | { screen: 'login' };

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // anybody may write any address
  }
}

export function routeOf(path: string): Route {
  const [first = '', second = ''] = path.split('/').filter(Boolean).map(decoded);
  switch (first) {
    case 't':
      return { screen: 'chat', threadId: second || null };
    case 'settings':
      return { screen: 'settings', page: second };
    case 'admin':
      return { screen: 'admin', page: second };
    case 'welcome':
      return { screen: 'welcome' };
    case 'login':
      return { screen: 'login' };
    default:
      return { screen: 'chat', threadId: null };
  }
}

class Router {
  path = $state(location.pathname);
  readonly route = $derived(routeOf(this.path));

  constructor() {
    addEventListener('popstate', () => (this.path = location.pathname));
    document.addEventListener('click', (event) => this.#follow(event));
  }

  go(path: string, options: { replace?: boolean } = {}): void {
    if (path === this.path) return;
    history[options.replace ? 'replaceState' : 'pushState'](null, '', path);
    this.path = location.pathname;
  }

  // Ordinary links of the app stay in the app.
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    if (event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a[href^="/"]');
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download'))
      return;
    if (/^\/(api|oauth|static|metrics)(\/|$)/.test(link.pathname)) return;
    event.preventDefault();
    this.go(link.pathname);
  }
}

export const router = new Router();
export const threadPath = (id: string) => `/t/${encodeURIComponent(id)}`;
