/** What stands around every page: the connection, navigation, dialogs. */
export const englishShell = {
  connectionLost: 'No connection to the server since {time}. Values are from then; actions are disabled until it is back.',
  asOf: 'As of {age} ago',
  tryNow: 'Try now',
  unknown: 'Unknown',
  unknownHint: 'No connection to the server. Last known: {state}',
} as const satisfies Record<string, string>;
