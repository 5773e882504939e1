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

export const NextCursor = Type.Union([Type.String(), Type.Null()], {
  description: 'Send it as `cursor` to get the next page. Null on the last page.',
});

/** One page of a list, with the cursor of the next page. */
export interface Page<Row> {
  readonly data: Row[];
  readonly nextCursor: string | null;
}

/**
 * Response schema of a list.
 * @example listOf(Source) // { data: Source[], nextCursor: string | null }, named SourceList in OpenAPI
 */
export function listOf<Item extends TSchema>(item: Item): Type.TObject<{ data: Type.TArray<Item>; nextCursor: typeof NextCursor }> {
  const { $id } = item as { $id?: string };
  return Type.Object(
    { data: Type.Array(item), nextCursor: NextCursor },
    $id === undefined ? {} : { $id: `${$id}List`, description: `A page of ${$id} resources.` },
  );
}
