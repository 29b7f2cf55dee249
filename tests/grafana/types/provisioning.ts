// What Grafana reads at its start from provisioning/*/*.yaml.
//
// No package of Grafana's has a schema for these files. The types below are
// written from its documentation ("Provision Grafana", "Configure the
// Prometheus data source", "Configure the Jaeger data source", version 13), for
// the two sources used here, and say only what those pages name.
import type { DataSourceJsonData } from '@grafana/schema';
import type { Sharpen } from './json';

type Common = {
  name: string;
  uid: string;
  access: 'proxy' | 'direct';
  url: string;
  orgId?: number;
  isDefault?: boolean;
  editable?: boolean;
  version?: number;
  basicAuth?: boolean;
  basicAuthUser?: string;
  withCredentials?: boolean;
  secureJsonData?: Record<string, string>;
};

type Http = {
  oauthPassThru?: boolean;
  serverName?: string;
  timeout?: number;
  tlsAuth?: boolean;
  tlsAuthWithCACert?: boolean;
  tlsSkipVerify?: boolean;
  keepCookies?: string[];
};

export type PrometheusSource = Common & {
  type: 'prometheus';
  jsonData?: Sharpen<
    DataSourceJsonData & Http,
    {
      allowAsRecordingRulesTarget?: boolean;
      cacheLevel?: 'Low' | 'Medium' | 'High' | 'None';
      customQueryParameters?: string;
      defaultEditor?: 'code' | 'builder';
      disableMetricsLookup?: boolean;
      disableRecordingRules?: boolean;
      exemplarTraceIdDestinations?: Array<{
        name: string;
        datasourceUid?: string;
        url?: string;
        urlDisplayLabel?: string;
      }>;
      httpMethod?: 'GET' | 'POST';
      incrementalQuerying?: boolean;
      incrementalQueryOverlapWindow?: string;
      prometheusType?: 'Prometheus' | 'Cortex' | 'Mimir' | 'Thanos';
      prometheusVersion?: string;
      queryTimeout?: string;
      timeInterval?: string;
    }
  >;
};

export type JaegerSource = Common & {
  type: 'jaeger';
  jsonData?: Sharpen<
    Http,
    {
      nodeGraph?: { enabled: boolean };
      spanBar?: { type: 'None' | 'Duration' | 'Tag'; tag?: string };
      traceIdTimeParams?: { enabled: boolean };
      traceQuery?: { timeShiftEnabled: boolean; spanStartTimeShift?: string; spanEndTimeShift?: string };
      tracesToLogsV2?: {
        datasourceUid: string;
        spanStartTimeShift?: string;
        spanEndTimeShift?: string;
        filterByTraceID?: boolean;
        filterBySpanID?: boolean;
        tags?: Array<{ key: string; value?: string }>;
        customQuery?: boolean;
        query?: string;
      };
      tracesToMetrics?: {
        datasourceUid: string;
        spanStartTimeShift?: string;
        spanEndTimeShift?: string;
        tags?: Array<{ key: string; value?: string }>;
        queries?: Array<{ name: string; query: string }>;
      };
    }
  >;
};

export type Datasources = {
  apiVersion: 1;
  datasources: Array<PrometheusSource | JaegerSource>;
  deleteDatasources?: Array<{ name: string; orgId?: number }>;
  prune?: boolean;
};

export type Dashboards = {
  apiVersion: 1;
  providers: Array<{
    name: string;
    type: 'file';
    orgId?: number;
    folder?: string;
    folderUid?: string;
    disableDeletion?: boolean;
    updateIntervalSeconds?: number;
    allowUiUpdates?: boolean;
    options: { path: string; foldersFromFilesStructure?: boolean };
  }>;
};
