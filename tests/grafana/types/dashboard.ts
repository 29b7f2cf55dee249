// A dashboard as Grafana reads it: the types of @grafana/schema, and sharper
// ones where those say `unknown` or `Record<string, unknown>`.
//
// `check.mjs` writes each dashboard as a literal of the type `Dashboard`, so
// the compiler reports a key that no type knows, a value of another type, and a
// word that is not in an enum. `selftest.mjs` holds that it does.
import type * as schema from '@grafana/schema';
import type {
  AnnotationQuery,
  Dashboard as RawDashboard,
} from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as raw from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as bargauge from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type * as gauge from '@grafana/schema/dist/types/raw/composable/gauge/panelcfg/x/types.gen';
import type * as heatmap from '@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen';
import type * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as statetimeline from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type * as statushistory from '@grafana/schema/dist/types/raw/composable/statushistory/panelcfg/x/types.gen';
import type * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as text from '@grafana/schema/dist/types/raw/composable/text/panelcfg/x/types.gen';
import type * as timeseries from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import type { FieldMatcherID } from '@grafana/data/dist/types/transformations/matchers/ids';
import type { ByNamesMatcherOptions } from '@grafana/data/dist/types/transformations/matchers/nameMatcher';
import type { FieldType } from '@grafana/data/dist/types/types/dataFrame';
import type { FieldValueMatcherConfig } from '@grafana/data/dist/types/transformations/matchers/fieldValueMatcher';
import type { CalculateFieldTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/calculateField';
import type { ConvertFieldTypeTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/convertFieldType';
import type { FilterByValueTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/filterByValue';
import type { FilterFieldsByNameTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/filterByName';
import type { GroupByTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/groupBy';
import type { JoinByFieldOptions } from '@grafana/data/dist/types/transformations/transformers/joinByField';
import type { LabelsToFieldsOptions } from '@grafana/data/dist/types/transformations/transformers/labelsToFields';
import type { LimitTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/limit';
import type { OrganizeFieldsTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/organize';
import type { ReduceTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/reduce';
import type { RenameByRegexTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/renameByRegex';
import type { SortByTransformerOptions } from '@grafana/data/dist/types/transformations/transformers/sortBy';
import type { Json, Sharpen } from './json';

// === a reference to a data source ===

/** Both parts, always: Grafana falls back to its default source without them. */
export type Source<Type extends string = 'prometheus' | 'jaeger'> = { type: Type; uid: string };

/** Grafana's own source, for its built-in annotations. */
export type OwnSource = { type: 'grafana' | 'datasource'; uid: '-- Grafana --' | 'grafana' };

/** The source of a panel whose queries each name their own. */
export type MixedSource = { type: 'datasource'; uid: '-- Mixed --' };

// === queries ===

/** @grafana/schema has no type for a query to Prometheus; the foundation SDK has. */
export type PrometheusQuery = Sharpen<
  Omit<Json<Omit<Dataquery, '_implementsDataqueryVariant'>>, 'datasource'>,
  { datasource: Source<'prometheus'>; refId: string }
>;

// === fields ===

/** `DataLink` of @grafana/data, less what only code can give. */
export type DataLink = { title: string; url: string; targetBlank?: boolean; oneClick?: boolean };

export type Fields<Custom> = Sharpen<Json<raw.FieldConfig>, { custom?: Json<Custom>; links?: DataLink[] }>;

/** What an override may set: a field's own property, or one of its panel's. */
export type Property<Custom> =
  | {
      [Key in keyof Fields<Custom> & string]-?: Key extends 'custom'
        ? never
        : { id: Key; value: Exclude<Fields<Custom>[Key], undefined> };
    }[keyof Fields<Custom> & string]
  | {
      [Key in keyof Custom & string]-?: { id: `custom.${Key}`; value: Json<Exclude<Custom[Key], undefined>> };
    }[keyof Custom & string];

type NamesMatcher = `${FieldMatcherID.byNames}`;
type NameMatcher = `${FieldMatcherID.byName | FieldMatcherID.byRegexp | FieldMatcherID.byFrameRefID}`;

/** Which fields an override is for. */
export type Matcher =
  | { id: NameMatcher; options: string }
  | { id: NamesMatcher; options: Json<ByNamesMatcherOptions> }
  | { id: `${FieldMatcherID.byType}`; options: `${FieldType}` }
  | { id: `${FieldMatcherID.byValue}`; options: Json<FieldValueMatcherConfig> };

export type FieldConfig<Custom, Also = never> = {
  defaults: Fields<Custom>;
  overrides: Array<{ matcher: Matcher; properties: Array<Property<Custom> | Also> }>;
};

// === transformations ===

type Transform<Id extends string, Options> = Sharpen<
  Json<raw.DataTransformerConfig>,
  { id: Id; options: Json<Options>; filter?: Matcher }
>;

/** Those whose options have a type in @grafana/data. Others are refused. */
export type Transformation =
  | Transform<'calculateField', Partial<CalculateFieldTransformerOptions>>
  | Transform<'convertFieldType', ConvertFieldTypeTransformerOptions>
  | Transform<'filterByValue', FilterByValueTransformerOptions>
  | Transform<'filterFieldsByName', FilterFieldsByNameTransformerOptions>
  | Transform<'groupBy', GroupByTransformerOptions>
  | Transform<'joinByField', JoinByFieldOptions>
  | Transform<'labelsToFields', LabelsToFieldsOptions>
  | Transform<'limit', LimitTransformerOptions>
  | Transform<'merge', Record<string, never>>
  | Transform<'organize', Partial<OrganizeFieldsTransformerOptions>>
  | Transform<'reduce', Partial<ReduceTransformerOptions>>
  | Transform<'renameByRegex', RenameByRegexTransformerOptions>
  | Transform<'seriesToRows', Record<string, never>>
  | Transform<'sortBy', SortByTransformerOptions>;

// === panels ===

type Nothing = Record<never, never>;

/** A panel of one type, with all that @grafana/schema leaves to its plugin. */
export type PanelOf<Type extends string, Options, Custom, Also = never> = Sharpen<
  Json<raw.Panel>,
  {
    type: Type;
    id: number;
    title: string;
    gridPos: Json<raw.GridPos>;
    datasource: Source<'prometheus'> | MixedSource;
    options: Json<Options>;
    fieldConfig: FieldConfig<Custom, Also>;
    targets: PrometheusQuery[];
    transformations?: Transformation[];
  }
>;

/** A panel without queries. */
export type TextPanel = Sharpen<
  Json<raw.Panel>,
  {
    type: 'text';
    id: number;
    gridPos: Json<raw.GridPos>;
    options: Json<text.Options>;
    fieldConfig?: FieldConfig<Nothing>;
    targets?: never;
  }
>;

export type Panel =
  | PanelOf<'bargauge', bargauge.Options, Nothing>
  | PanelOf<'gauge', gauge.Options, Nothing>
  | PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | PanelOf<'stat', stat.Options, Nothing>
  | PanelOf<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>
  | PanelOf<'status-history', statushistory.Options, statushistory.FieldConfig>
  | PanelOf<'table', table.Options, TableField, HideInTable>
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | TextPanel;

/** What the table's override "Hide in table" sets; elsewhere `hideFrom` is set as a whole. */
type HideInTable = { id: 'custom.hideFrom.viz'; value: boolean };

/** The type asks for `align`, `cellOptions` and `inspect`; the panel has defaults for them. */
export type TableField = Partial<table.FieldConfig>;

export type Row = Sharpen<Json<raw.RowPanel>, { panels: Panel[] }>;

// === variables ===

type Variable<Type extends schema.VariableModel['type'], Sharper> = Sharpen<
  Json<raw.VariableModel>,
  { type: Type } & Sharper
>;

/** A query for the values of a variable, as the Prometheus source writes it. */
export type PrometheusVariableQuery = {
  query: string;
  refId: string;
  /** Which form of the query editor: 0 label names, 1 label values, 2 metrics, 3 query result, 4 series, 5 as text. */
  qryType?: 0 | 1 | 2 | 3 | 4 | 5;
};

export type Variables =
  | Variable<
      'query',
      { datasource: Source<'prometheus'>; query: PrometheusVariableQuery | string; definition?: string }
    >
  | Variable<'datasource', { query: 'prometheus' | 'jaeger'; datasource?: never }>
  | Variable<'textbox' | 'constant' | 'custom' | 'interval', { query: string; datasource?: never }>;

// === annotations ===

/** What an annotation of Prometheus asks: a query, or its older form beside the rest. */
type Asks =
  | { target: Sharpen<PrometheusQuery, { datasource?: Source<'prometheus'> }>; expr?: never; step?: never }
  | { expr: string; step?: string; target?: never };

export type PrometheusAnnotation = Sharpen<
  Json<Omit<AnnotationQuery, 'target' | 'type'>>,
  {
    datasource: Source<'prometheus'>;
    titleFormat?: string;
    textFormat?: string;
    tagKeys?: string;
    useValueForTime?: boolean | 'on' | 'off';
  } & Asks
>;

/** The one every dashboard has: Grafana's own annotations and alerts. */
export type OwnAnnotation = Sharpen<
  Json<AnnotationQuery>,
  { builtIn: 1; datasource: OwnSource; type?: 'dashboard' }
>;

// === the dashboard ===

export type Dashboard = Sharpen<
  Json<RawDashboard>,
  {
    uid: string;
    title: string;
    panels: Array<Panel | Row>;
    templating: { list: Variables[] };
    annotations: { list: Array<PrometheusAnnotation | OwnAnnotation> };
    /** Numbers of one Grafana's database; a file that has one collides. */
    id?: null;
    snapshot?: never;
  }
>;

/** What `selftest.mjs` breaks at a time. */
export type Part = Panel | Row;
