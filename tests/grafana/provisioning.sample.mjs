// Provisioning in which all is well, for `selftest.mjs` to break.

export const DATASOURCES = {
  apiVersion: 1,
  prune: true,
  deleteDatasources: [{ name: 'Old', orgId: 1 }],
  datasources: [
    {
      name: 'Prometheus',
      type: 'prometheus',
      uid: 'prometheus',
      access: 'proxy',
      url: 'http://prometheus:9090',
      isDefault: true,
      editable: false,
      jsonData: { httpMethod: 'POST', timeInterval: '5s', prometheusType: 'Prometheus', cacheLevel: 'High' },
    },
    {
      name: 'Jaeger',
      type: 'jaeger',
      uid: 'jaeger',
      access: 'proxy',
      url: 'http://jaeger:16686',
      jsonData: {
        nodeGraph: { enabled: true },
        spanBar: { type: 'Tag', tag: 'task.name' },
        traceIdTimeParams: { enabled: true },
        tracesToMetrics: {
          datasourceUid: 'prometheus',
          spanStartTimeShift: '-1m',
          spanEndTimeShift: '1m',
          tags: [{ key: 'task.name', value: 'task_name' }],
          queries: [{ name: 'Rate', query: 'up' }],
        },
      },
    },
  ],
};

export const DASHBOARDS = {
  apiVersion: 1,
  providers: [
    {
      name: 'Sample',
      type: 'file',
      orgId: 1,
      folder: 'Sample',
      folderUid: 'sample',
      disableDeletion: true,
      updateIntervalSeconds: 10,
      allowUiUpdates: false,
      options: { path: '/dashboards', foldersFromFilesStructure: false },
    },
  ],
};
