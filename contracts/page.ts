import { type Static, type TSchema, Type } from 'typebox';

/** Rows of a page when `limit` is omitted. */
export const PAGE_ROWS = 100;
/** Maximum number of rows of a page. */
export const PAGE_ROWS_MAX = 1_000;

/** Query parameters of every list. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: PAGE_ROWS_MAX, default: PAGE_ROWS, description: 'Maximum number of rows of the page.' }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: 512, description: '`nextCursor` of the previous page. Opaque. Omit it for the first page.' }),
  ),
};
export const PageQuery = Type.Object(pageQuery);
export type PageQuery = Static<typeof PageQuery>;

/** Order of rows by time, of every time series. */
export const RowOrder = Type.Unsafe<'asc' | 'desc'>(
  Type.Enum(['asc', 'desc'], {
    default: 'desc',
    description:
      'Order of the rows by time. `desc`: newest first. `asc`: oldest first. `limit` returns the first rows of the range in this order, and `nextCursor` continues in the same order.',
  }),
);
export type RowOrder = Static<typeof RowOrder>;

export const HasMore = Type.Boolean({ description: 'True if there are more rows after this page. Then `nextCursor` is not null.' });

export const NextCursor = Type.Union([Type.String(), Type.Null()], {
  description: 'Send it as `cursor` to get the next page. Null on the last page.',
});

/** One page of a list, with the cursor of the next page. */
export interface Page<Row> {
  readonly data: Row[];
  readonly hasMore: boolean;
  readonly nextCursor: string | null;
}

/**
 * Response schema of a list.
 * @example listOf(Source) // { data: Source[], hasMore: boolean, nextCursor: string | null }, named SourceList in OpenAPI
 */
export function listOf<Item extends TSchema>(
  item: Item,
): Type.TObject<{ data: Type.TArray<Item>; hasMore: typeof HasMore; nextCursor: typeof NextCursor }> {
  const { $id } = item as { $id?: string };
  return Type.Object(
    { data: Type.Array(item), hasMore: HasMore, nextCursor: NextCursor },
    $id === undefined ? {} : { $id: `${$id}List`, description: `A page of ${$id} resources.` },
  );
}
