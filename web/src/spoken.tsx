// The language that the page speaks: the browser's, or the one that was chosen here and is remembered
// here. It knows no word itself.

import { createContext } from 'preact';
import { useContext, useMemo, useState } from 'preact/hooks';
import { type Language, languageOf, type Say, speaker } from './words.ts';

export interface Speech {
  readonly language: Language;
  readonly say: Say;
  readonly choose: (language: Language) => void;
}

const place = 'detour-language';

export const Spoken = createContext<Speech>({
  language: 'en',
  say: speaker('en'),
  choose: () => {},
});

export const useSpeech = (): Speech => useContext(Spoken);

export function useLanguage(): Speech {
  const [language, set] = useState<Language>(first);
  return useMemo(() => {
    const choose = (chosen: Language) => {
      set(chosen);
      try {
        localStorage.setItem(place, chosen);
      } catch {
        // A browser that keeps nothing asks again next time.
      }
    };
    return { language, say: speaker(language), choose };
  }, [language]);
}

function first(): Language {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(place);
  } catch {
    // Then the browser's own language it is.
  }
  return languageOf(kept === null ? navigator.languages : [kept]);
}
