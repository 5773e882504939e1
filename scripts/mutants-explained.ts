/** Mutants of the kernel that no test notices, and why that may be so: what each changes is not a rule. */
export const EXPLAINED: readonly { readonly file: string; readonly line: string; readonly from: string; readonly why: string }[] = [];
