/** To the login, with nothing of the session left in the page's memory. */
export function leave(): void {
  location.assign('/login');
}
