// A plugin of TypeDoc: which category each export, and each member of WorkerServer, stands in on the pages of `npm run docs`.
// Here and not as tags in the types, so that what belongs together is seen in one place. What is in none is an error.

import { Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';

/** The members of WorkerServer, in the order of the pages. */
const MEMBERS = {
  'Starting and stopping': 'constructor start stop drain state port',
  Requests: 'request stream getQueueInfo explain',
  Workers:
    'onWorkerConnected onWorkerDisconnected onWorkerUpdated getWorkerInfo getWorkerCount getAvailableWorkerCount ' +
    'getConnectionInfo setWorkerStatus disconnectWorker',
  Messages: 'onWorkerMessage send broadcast',
  'Choosing a worker yourself':
    'getAvailableWorker getAnyAvailableWorker getAvailableSlotCount trackRequest releaseRequest',
  'HTTP and WebSocket endpoints': 'addHttpHandler addWebSocketEndpoint',
  'Who may come in': 'setAuthToken setSecureContext',
  'Watching and several machines': 'metrics getClusterInfo',
};

/** The exports of the package's main entry, by a pattern for their names. The first that fits counts. */
const EXPORTS = [
  [
    'Without a server',
    /^(WorkerPool|ConnectionHandler|ConnectionHandlerConfig|ConnectedWorker|toWorkerInfo|safeCompare)$/,
  ],
  ['Channels', /(Message|TraceContext)$/],
  ['Requests', /^(Request|Queue|Explanation|WorkerRequestError|WorkerSelector|Scalar)/],
  ['Workers', /^(Worker(Info|Capabilities|Status|Credentials)|ModelInfo|ConnectionInfo|Auth|PeerCertificate)/],
  ['Handlers', /Handler$/],
  ['Server', /^(WorkerServer|WebSocketEndpointOptions|Tls|SecureContext|Cluster)/],
];

const ORDER = ['Server', ...Object.keys(MEMBERS), 'Handlers', 'Channels', 'Without a server', '*'];
const categoryOf = Object.fromEntries(
  Object.entries(MEMBERS).flatMap(([category, names]) => names.split(' ').map((name) => [name, category])),
);

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.on('bootstrapEnd', () => {
    app.options.setValue('categorizeByGroup', false);
    app.options.setValue('categoryOrder', ORDER);
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    const [main] = context.project.getChildrenByKind(ReflectionKind.Module);
    for (const child of main.children) {
      const [category] = EXPORTS.find(([, pattern]) => pattern.test(child.name)) ?? [];
      categorise(app, child, category);
      if (child.name !== 'WorkerServer') continue;
      for (const member of child.children) categorise(app, member, categoryOf[member.name]);
    }
  });
}

function categorise(app, reflection, category) {
  if (category === undefined) {
    app.logger.error(`scripts/typedoc-categories.mjs has no category for ${reflection.getFullName()}`);
    return;
  }
  // A method's comments are those of its signatures; TypeDoc looks for the tag there, too.
  for (const target of reflection.signatures ?? [reflection.getSignature ?? reflection]) {
    target.comment ??= new Comment();
    target.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: category }]));
  }
}
