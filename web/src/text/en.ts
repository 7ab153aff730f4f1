// Every word that a person reads, in English: a section a screen. A translation is another file of
// the same shape. Functions are for sentences with something in them.

const plural = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

export const en = {
  app: {
    name: 'Adjutant',
    loading: 'Loading',
    skipToContent: 'Skip to the conversation',
    unexpected: 'Something went wrong in this page.',
    reload: 'Reload',
  },
  common: {
    cancel: 'Cancel',
    save: 'Save',
    close: 'Close',
    delete: 'Delete',
    retry: 'Try again',
    copy: 'Copy',
    copied: 'Copied',
    back: 'Back',
    more: 'More',
    items: (n: number) => plural(n, 'item', 'items'),
  },
  problem: {
    offline: 'You are offline. Check the connection and try again.',
    unreachable: 'Adjutant does not answer. It may be restarting; try again in a moment.',
    tooLong: 'Adjutant took too long to answer. Try again.',
    unknown: (status: number) => `Adjutant answered with an error (${status}).`,
  },
  live: {
    lost: 'The connection was lost.',
    blocked:
      'Adjutant answers, but something between here and there (a proxy, a firewall) blocks ' +
      'WebSockets.',
    busy: 'Too many answers are being written at once. Wait for one to finish.',
    notFound: 'This conversation does not exist, or it was deleted.',
    notSent: 'This message was not sent.',
  },
};

export type Text = typeof en;
