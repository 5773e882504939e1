// The house of DESIGN section 3: each floor imports only from floors below it, and rooms on one floor not from each other.
const floor = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: { path: '^(contracts|kernel|platform|modules|apps|clients)/', pathNot: allowed },
});

export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    floor('contracts-import-nothing', '^contracts/', '^contracts/'),
    floor('kernel-imports-contracts', '^kernel/', '^(contracts|kernel)/'),
    floor('platform-imports-kernel', '^platform/', '^(contracts|kernel|platform)/'),
    ...['collector', 'market', 'trading', 'worlds', 'accounts', 'notifications', 'operations'].map((room) =>
      floor(`${room}-imports-no-other-module`, `^modules/${room}/`, `^(contracts|kernel|platform|modules/${room})/`),
    ),
    floor('clients-import-contracts', '^(clients|apps/web)/', '^(contracts|clients|apps/web)/'),
    // Directly or through other packages: what sends mail or answers GraphQL is for the servers that do.
    ...['collector', 'market', 'worlds', 'operations'].map((module) => ({
      name: `${module}-needs-no-mail-no-graphql`,
      severity: 'error',
      from: { path: `^modules/${module}/`, pathNot: '\\.test\\.ts$' },
      to: { path: '^platform/(mail|graphql|gateway)/|/node_modules/(nodemailer|graphql|graphql-yoga|graphql-ws)/', reachable: true },
    })),
    {
      name: 'kernel-is-pure',
      severity: 'error',
      from: { path: '^kernel/', pathNot: '^kernel/testing/|\\.test\\.ts$' },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'contracts-are-pure',
      severity: 'error',
      from: { path: '^contracts/', pathNot: '^contracts/documents/write\\.ts$|\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    { name: 'nothing-is-missing', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.js', '.json', '.css'],
    },
  },
};
