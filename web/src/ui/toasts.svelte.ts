// Short messages at the edge of the screen: what was done, with a way to undo; what failed.

export interface Toast {
  id: number;
  message: string;
  tone: 'info' | 'error';
  action?: { label: string; run: () => void };
}

const SHOWN_MS = { info: 5_000, error: 10_000 };
const MOST = 3;

class Toasts {
  list = $state<Toast[]>([]);
  #last = 0;

  show(message: string, options: Partial<Pick<Toast, 'tone' | 'action'>> = {}): void {
    const toast: Toast = { id: ++this.#last, message, tone: options.tone ?? 'info', ...options };
    this.list = [...this.list, toast].slice(-MOST);
    setTimeout(() => this.dismiss(toast.id), SHOWN_MS[toast.tone]);
  }

  /** Whatever was thrown, in words. */
  failed(error: unknown): void {
    this.show(error instanceof Error ? error.message : String(error), { tone: 'error' });
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
