export interface ProfileForm {
  name: string;
  time_zone: string;
  about: string;
}

export const sameProfile = (a: ProfileForm, b: ProfileForm) =>
  a.name === b.name && a.time_zone === b.time_zone && a.about === b.about;

/** Bytes of UTF-8, which the gateway counts. */
export const sizeOf = (text: string) => new TextEncoder().encode(text).length;

export const deviceZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The names of the IANA database that the browser knows. */
export const zones = (): string[] => ['UTC', ...Intl.supportedValuesOf('timeZone')];

export const zoneName = (zone: string) => zone.replaceAll('_', ' ');

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat(undefined, { timeZone: name });
    return /^[A-Z]/.test(name); // an offset such as +01:00 is none
  } catch {
    return false;
  }
}

export function timeIn(zone: string, at: number): string {
  return new Intl.DateTimeFormat(undefined, {
    weekday: 'short',
    hour: 'numeric',
    minute: '2-digit',
    timeZone: zone,
  }).format(at);
}

/** Zones that have all words of `search`: those whose city begins with it come first. */
export function findZones(all: string[], search: string): string[] {
  const plain = (text: string) => text.toLowerCase().replaceAll('_', ' ');
  const wanted = plain(search)
    .split(/[\s/]+/)
    .filter(Boolean);
  const city = (zone: string) => plain(zone.slice(zone.lastIndexOf('/') + 1));
  const found = all.filter((zone) => wanted.every((word) => plain(zone).includes(word)));
  const first = wanted[0];
  if (!first) return found;
  return found.sort(
    (a, b) => Number(city(b).startsWith(first)) - Number(city(a).startsWith(first)),
  );
}
